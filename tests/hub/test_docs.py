"""The page of the hub's variables has a heading for each variable that is read, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
READ_BY_OTHERS = {"CONFIGPROXY_AUTH_TOKEN", "KF_DOOR_TOKEN", "KUBECONFIG"}


def headings(page: str) -> set[str]:
    return set(re.findall(r"^### ([\w.]+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def test_variables():
    config = (ROOT / "jupyterhub_config.py").read_text()
    readers = "env\\.get|address|choice|flag|folder|folder_of_images|names|optional|port"
    read = set(re.findall(rf"(?:{readers})\([\"']([A-Z_]+)[\"']", config))
    assert len(read) > 15
    assert headings("hub-variables.md") == read | READ_BY_OTHERS
