"""Debian's packages as files for an image: downloaded and unpacked, not installed."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path


class PackagesUnavailable(Exception):
    """The packages cannot be had; the message says why."""


def unpack(packages: Sequence[str], tree: Path) -> None:
    """Put the files of these packages below `tree`. Raises PackagesUnavailable."""
    with tempfile.TemporaryDirectory(prefix="kf-packages-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as a user of its own
        _run("apt-get", "download", "-qq", *packages, folder=folder)
        for archive in sorted(folder.glob("*.deb")):
            _run("dpkg-deb", "-x", str(archive), str(tree), folder=folder)


def _run(*argv: str, folder: Path) -> None:
    try:
        ended = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise PackagesUnavailable(f"{argv[0]} is missing: this is not Debian or Ubuntu") from error
    if ended.returncode:
        raise PackagesUnavailable(f"{' '.join(argv)} failed:\n{(ended.stdout + ended.stderr)[-2000:]}")
