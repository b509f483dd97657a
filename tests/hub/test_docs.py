"""Every variable and every trait of ours has a heading in the docs, and no heading is left of one that is gone."""

import re
from pathlib import Path

from kf_spawner.spawner.settings import Settings

ROOT = Path(__file__).parents[2]
READ_BY_OTHERS = {"CONFIGPROXY_AUTH_TOKEN", "KUBECONFIG"}


def headings(page: str) -> set[str]:
    return set(re.findall(r"^### (\w+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def test_variables():
    config = (ROOT / "jupyterhub_config.py").read_text()
    read = set(re.findall(r"(?:env\.get|choice|names|flag|optional|folder_of_images)\([\"']([A-Z_]+)[\"']", config))
    assert len(read) > 15
    assert headings("hub.md") == read | READ_BY_OTHERS


def test_settings():
    ours = set(Settings.class_own_traits(config=True))
    assert headings("spawner.md") == ours
    assert all(trait.help for trait in Settings.class_own_traits(config=True).values())
