"""The pages for users say all of it, and no more: each field has its heading, each issue in a table its test."""

import re
from pathlib import Path

import yaml

from tests.operator import test_defects as on_the_api_server
from tests.tfjob import test_defects, test_own_fields
from tests.tfjob.upstream import issues_of

ROOT = Path(__file__).parents[2]


def fields() -> set[str]:
    crd = yaml.safe_load((ROOT / "kf_spawner/manifests/tfjobs-crd.yaml").read_text())
    (v1,) = (version for version in crd["spec"]["versions"] if version["name"] == "v1")
    spec = v1["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    replica = spec["tfReplicaSpecs"]["additionalProperties"]["properties"]
    return {"spec.tfReplicaSpecs", *(spec.keys() - {"tfReplicaSpecs"}), *replica, *spec["runPolicy"]["properties"]}


def test_every_field_has_a_heading():
    page = (ROOT / "docs/tfjob-fields.md").read_text()
    headings = set(re.findall(r"^## (.+)$", page, re.MULTILINE))
    assert fields() == headings


def test_every_issue_of_the_original_has_a_test():
    page = (ROOT / "docs/migrating.md").read_text()
    rows = "".join(line for line in page.splitlines(keepends=True) if line.startswith("|"))
    tested = set().union(*map(issues_of, (test_defects, test_own_fields, on_the_api_server)))
    assert set(re.findall(r"#\d+", rows)) == tested
