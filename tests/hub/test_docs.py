"""No heading is left in the hub's docs of a variable or trait that is gone; that each has one is tested elsewhere."""

import re
from pathlib import Path

from kf_spawner.hub.authenticators import LocalAuthenticator
from kf_spawner.spawner.settings import SpawnerSettings

ROOT = Path(__file__).parents[2]
READ_BY_OTHERS = {"CONFIGPROXY_AUTH_TOKEN", "KUBECONFIG"}


def headings(page: str) -> set[str]:
    return set(re.findall(r"^### ([\w.]+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE))


def test_variables():
    config = (ROOT / "jupyterhub_config.py").read_text()
    readers = "env\\.get|address|choice|flag|folder|folder_of_images|names|optional|port"
    read = set(re.findall(rf"(?:{readers})\([\"']([A-Z_]+)[\"']", config))
    traits = {f"LocalAuthenticator.{name}" for name in LocalAuthenticator.class_own_traits(config=True)}
    assert len(read) > 15
    assert headings("hub.md") >= read
    assert {name for name in headings("hub.md") if "." not in name} == read | READ_BY_OTHERS
    assert {name for name in headings("hub.md") if "." in name} <= traits


def test_settings():
    assert headings("spawner.md") == {f"SpawnerSettings.{n}" for n in SpawnerSettings.class_own_traits(config=True)}
