"""Programs of the machine that building images needs: found, or installed from Debian where that is allowed.

Owns how a program is run and what is said when it fails. Knows nothing of images.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class BuildFailed(Exception):
    """An image cannot be built: says what failed, and what to do about it."""


def need(program: str, *, package: str) -> None:
    """Makes sure that `program` is there; as root on Debian or Ubuntu it is installed. Raises BuildFailed."""
    if shutil.which(program):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BuildFailed(f"{program} is missing: run `sudo apt-get install {package}`, then try again")
    print(f"installing {package}", flush=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], environ=quiet)
    run(
        ["apt-get", "install", "-y", "-qq", "-oDPkg::Lock::Timeout=300", "--no-install-recommends", package],
        environ=quiet,
    )


def run(
    argv: Sequence[str], *, timeout: float = 1800, cwd: Path | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """A program's output, from its start to its end. `timeout` in seconds. Raises BuildFailed with its last words."""
    try:
        ended = subprocess.run(
            list(argv),
            cwd=cwd,
            env=dict(environ) if environ is not None else None,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{' '.join(argv[:2])} did not end within {timeout:.0f} s") from error
    if ended.returncode:
        last = "\n".join((ended.stdout + ended.stderr).strip().splitlines()[-25:])
        raise BuildFailed(f"{' '.join(argv[:2])} ended with {ended.returncode}:\n{last}")
    return ended.stdout
