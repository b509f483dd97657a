"""The map in docs/architecture.md is the code's: its rooms, layers and files are those that are there."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kf_spawner"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def rows(heading: str, number: int = 0) -> list[list[str]]:
    """The cells of a table below a heading; `number` counts the tables there."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[number]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def rooms() -> set[str]:
    folders = {path.parent.name for path in PACKAGE.glob("*/*") if not path.parent.name.startswith("_")}
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("_")}
    return folders | modules


def test_every_room_is_in_the_table_and_no_other():
    assert {quoted(row[0])[0] for row in rows("Rooms")} == rooms()


def test_layers_are_those_of_the_import_contract():
    (contract,) = [c for c in CONTRACTS if c["type"] == "layers" and c.get("containers") == ["kf_spawner"]]
    assert contract["exhaustive"] is True
    wanted = [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]
    assert [set(quoted(row[1])) for row in rows("Layers")] == wanted


def test_every_sub_room_of_the_node_is_in_the_table():
    node = PACKAGE / "localcluster" / "node"
    folders = {path.parent.name for path in node.glob("*/*.py")}
    assert {quoted(row[0])[0] for row in rows("Layers", 1)} == folders


def test_no_contract_has_an_exception():
    assert not [c["name"] for c in CONTRACTS if c.get("ignore_imports") or c.get("unmatched_ignore_imports_alerting")]


def test_to_change_x_open_y_names_at_least_20_files_that_are_there():
    table = rows("To change X, open Y")
    assert len(table) >= 20
    missing = [path for row in table for path in quoted(row[1]) if not (ROOT / path).exists()]
    assert not missing, f"docs/architecture.md names what is not there: {missing}"


@pytest.mark.parametrize("heading", ["Train: the way of a TFJob", "Serve: the way of a model"])
def test_a_journey_names_files_that_are_there(heading):
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    files = [text for text in quoted(section) if re.fullmatch(r"\w+(/[\w-]+)+\.\w+", text)]
    assert files
    assert not [file for file in files if not (PACKAGE / file).exists()]


def test_every_process_has_a_room_that_is_there():
    for row in rows("What runs"):
        assert all((PACKAGE / room).exists() or room in rooms() for room in quoted(row[2])), row
