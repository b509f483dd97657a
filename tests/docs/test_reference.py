"""The pages that are made from the code are up to date, and every setting says its unit and default."""

import re
import runpy
from pathlib import Path

import pytest

from kf_spawner import __version__

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))
SETTINGS = {
    f"{owner.__name__}.{name}": trait
    for owner in GENERATOR["our_classes"]()
    for name, trait in GENERATOR["own_settings"](owner).items()
}


def test_pages_are_up_to_date():
    outputs = GENERATOR["outputs"]()
    assert [page.name for page in outputs] == ["settings.md", "notebook-api.md"]
    stale = [page.name for page, text in outputs.items() if page.read_text() != text]
    assert stale == [], "run 'make reference' and commit what it changes"


def test_settings_of_all_programs_are_found():
    owners = {path.partition(".")[0] for path in SETTINGS}
    assert owners >= {"Up", "SpawnerSettings", "KubeflowExtension", "OperatorApp", "Dashboard", "DoorApp", "NodeApp"}
    page = (ROOT / "docs" / "settings.md").read_text()
    assert "### Up.port\n\n`--port`, whole number from 1 to 65535\n\nTCP port of the door. Default: 8000.\n" in page


@pytest.mark.parametrize("path", SETTINGS)
def test_help_names_the_default(path):
    text = " ".join(SETTINGS[path].help.split())
    assert re.search(r"Default: .+|Required\.$", text), f"{path}: say the default, or that it is required"
    default = words(SETTINGS[path].default_value)
    if default is not None:
        assert re.search(rf"Default: {re.escape(default)}(\.$|,? )", text), f"{path}: its default is {default}"


def words(default: object) -> str | None:
    """A default as the help says it; None where it is empty or depends on the machine."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, int | float):
        return f"{default:.15g}"
    if isinstance(default, str) and default not in ("", "[]") and str(ROOT) not in default:
        return default.replace(__version__, "VERSION")
    return None
