"""Finds the Python interpreters of this machine that virtual environments can be made from.

Owns where to look. Starts each candidate once to hear what it is: a name on PATH may be a version
manager's stub that fails.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

WHAT_ARE_YOU = """\
import json, platform as p, sys
print(json.dumps([sys.executable, p.python_implementation(), p.python_version(), p.machine()]))"""
PROBE_TIMEOUT = 10.0


@dataclass(frozen=True, kw_only=True)
class Interpreter:
    """A CPython of this machine; `version` in full, such as 3.11.2."""

    path: str
    version: str
    machine: str

    @property
    def identity(self) -> str:
        """Changes when an environment made from this interpreter must be made anew."""
        return f"{os.path.realpath(self.path)} {self.version} {self.machine}"


def find_interpreter(
    pythons: Sequence[str], *, environ: Mapping[str, str] = os.environ, running: str | None = None
) -> Interpreter | None:
    """The first of the minor versions `pythons` (such as 3.11) that works here, or None.

    `running`: an interpreter to consider besides; None is the one that runs this process.
    """
    for minor in pythons:
        for candidate in candidates(minor, environ=environ, running=running):
            interpreter = probe(candidate)
            if interpreter and interpreter.version.startswith(f"{minor}."):
                return interpreter
    return None


def candidates(minor: str, *, environ: Mapping[str, str], running: str | None) -> Iterator[str]:
    """Paths where a Python `minor` may be, likeliest first."""
    name = f"python{minor}"
    yield running or str(getattr(sys, "_base_executable", sys.executable))
    if on_path := shutil.which(name, path=environ.get("PATH", os.defpath)):
        yield on_path
    home = environ.get("HOME") or os.path.expanduser("~")
    for root in dict.fromkeys((environ.get("PYENV_ROOT") or f"{home}/.pyenv", f"{home}/.pyenv")):
        for folder in sorted(Path(root, "versions").glob(f"{minor}.*"), key=patch_level, reverse=True):
            yield str(folder / "bin" / name)
    for usual in ("/usr/local/bin", "/usr/bin", f"/opt/python{minor}/bin"):
        yield f"{usual}/{name}"


def patch_level(folder: Path) -> int:
    """The patch number in a folder's name such as 3.6.15; -1 for one such as 3.6-dev."""
    patch = folder.name.rpartition(".")[2]
    return int(patch) if patch.isdecimal() else -1


@cache
def probe(path: str) -> Interpreter | None:
    """What the interpreter at `path` says of itself; None when there is none or it does not run."""
    if not os.access(path, os.X_OK):
        return None
    try:
        answer = subprocess.run(
            [path, "-I", "-c", WHAT_ARE_YOU], capture_output=True, timeout=PROBE_TIMEOUT, check=True, text=True
        ).stdout
        executable, implementation, version, machine = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if implementation != "CPython":
        return None
    return Interpreter(path=executable, version=version, machine=machine)
