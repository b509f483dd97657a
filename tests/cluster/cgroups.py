"""The cluster's cgroup: one name in every hierarchy that is mounted, versions 1 and 2."""

import contextlib
import errno
import time
from pathlib import Path

REMOVE_TIMEOUT = 10.0
PAUSE = 0.05


def hierarchies() -> list[Path]:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]


def make(name: str) -> None:
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(parents=True, exist_ok=True)


def remove(name: str) -> None:
    """Remove the cgroup and all below it; its processes have ended or are about to. Raises OSError if one stays."""
    deadline = time.monotonic() + REMOVE_TIMEOUT
    for top in (hierarchy / name for hierarchy in hierarchies()):
        while top.exists():
            # The deepest first; a folder's files are the kernel's and go with it.
            for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            try:
                top.rmdir()
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOTEMPTY) or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)
