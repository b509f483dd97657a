"""Finds the Python interpreters of this machine that can make virtual environments.

Owns where to look. It runs each candidate once, because a name on PATH may be the stub of a version manager, which
fails.
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
    def minor(self) -> str:
        """Such as 3.11."""
        return self.version.rpartition(".")[0]

    @property
    def identity(self) -> str:
        """Changes when environments of this interpreter must be built again."""
        return f"{os.path.realpath(self.path)} {self.version} {self.machine}"


def find_interpreter(
    pythons: Sequence[str], *, environ: Mapping[str, str] = os.environ, running: str | None = None
) -> Interpreter | None:
    """An interpreter for the first of the minor versions `pythons` (such as 3.11) that works here, or None.

    `running` is one more interpreter to try; None means the interpreter of this process.
    """
    for minor in pythons:
        for candidate in candidates(minor, environ=environ, running=running):
            interpreter = probe(candidate)
            if interpreter and interpreter.version.startswith(f"{minor}."):
                return interpreter
    return None


def candidates(minor: str, *, environ: Mapping[str, str], running: str | None) -> Iterator[str]:
    """Paths where a Python `minor` may be, the most likely first."""
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
    """The patch number in the name of a folder, such as 3.6.15; -1 for a name such as 3.6-dev."""
    patch = folder.name.rpartition(".")[2]
    return int(patch) if patch.isdecimal() else -1


@cache
def probe(path: str) -> Interpreter | None:
    """The interpreter at `path`; None if there is none or it does not run."""
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
