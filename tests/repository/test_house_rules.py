"""Rules for all Python files that no linter has: their size, and how they import."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60


def python_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def long_functions(source: str) -> list[str]:
    """`name: lines` of each function that is too long, its decorators included."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            lines = (node.end_lineno or first) - first + 1
            if lines > MOST_LINES_OF_A_FUNCTION:
                found.append(f"{node.name}: {lines} lines")
    return found


def wrong_imports(source: str, package: str) -> list[str]:
    """Imports that break the rule: relative within a room, and absolute between rooms.

    `package` is the file's own, such as `kf_spawner.tfjob`; the room is its first two parts.
    """
    room = package.split(".")[:2]
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            if len(package.split(".")) - (node.level - 1) < len(room):
                found.append(f"line {node.lineno}: a relative import leaves the room")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[:2] == room:
            found.append(f"line {node.lineno}: {node.module} is in the same room: import it relatively")
    return found


def test_no_file_and_no_function_is_too_long():
    faults = []
    for path in python_files():
        source = path.read_text()
        lines = len(source.splitlines())
        if lines > MOST_LINES:
            faults.append(f"{path.relative_to(ROOT)}: {lines} lines")
        faults += [f"{path.relative_to(ROOT)}: {one}" for one in long_functions(source)]
    assert faults == []


def test_rooms_import_each_other_by_their_full_names():
    faults = []
    for path in python_files():
        parts = path.relative_to(ROOT).parent.parts
        if len(parts) > 1 and parts[0] == "kf_spawner":
            faults += [f"{path.relative_to(ROOT)}: {one}" for one in wrong_imports(path.read_text(), ".".join(parts))]
    assert faults == []


def test_a_function_that_is_too_long_is_found():
    body = "    pass\n" * MOST_LINES_OF_A_FUNCTION
    assert long_functions(f"def long():\n{body}") == [f"long: {MOST_LINES_OF_A_FUNCTION + 1} lines"]
    assert long_functions(f"def fits():\n{body[len('    pass' + chr(10)) :]}") == []


@pytest.mark.parametrize(
    ("source", "package", "wrong"),
    [
        ("from .names import X", "kf_spawner.tfjob", False),
        ("from ..common.files import X", "kf_spawner.dashboard.handlers", False),
        ("from kf_spawner.kube import X", "kf_spawner.tfjob", False),
        ("from ..kube import X", "kf_spawner.tfjob", True),
        ("from kf_spawner.tfjob.names import X", "kf_spawner.tfjob", True),
        ("from ...kube import X", "kf_spawner.dashboard.handlers", True),
    ],
)
def test_an_import_is_relative_within_a_room_alone(source, package, wrong):
    assert bool(wrong_imports(source, package)) is wrong
