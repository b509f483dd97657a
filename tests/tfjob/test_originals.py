"""Manifests written for the original operator: what is made of them is, byte for byte, what always was.

The `.jsonl` files beside the manifests were written when no field of our own existed yet.
"""

import json
from pathlib import Path

import pytest
import yaml

from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.world import NOW

ORIGINALS = sorted((Path(__file__).parent / "originals").glob("*.yaml"))


def made_of(path: Path) -> str:
    plan = decide(yaml.safe_load(path.read_text()), [], [], now=NOW)
    return "".join(json.dumps(child) + "\n" for child in plan.create)


@pytest.mark.parametrize("path", ORIGINALS, ids=lambda path: path.stem)
def test_the_children_are_as_they_were(path):
    made = made_of(path)
    assert made
    assert made == path.with_suffix(".jsonl").read_text()
