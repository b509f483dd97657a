"""The cluster's cgroup: one name in every hierarchy that is mounted, versions 1 and 2."""

import contextlib
import errno
import time
from pathlib import Path

WEIGHTS = {"cpu.shares": 16 * 1024, "cpu.weight": 16 * 100}
"""Against a process outside of every cgroup, or another cgroup; by the files of versions 1 and 2."""

REMOVE_TIMEOUT = 10.0
PAUSE = 0.05


def hierarchies() -> list[Path]:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(mount[1]) for mount in mounts if mount[2] in ("cgroup", "cgroup2")]


def make(name: str) -> None:
    """Make the cgroup. Its pods get their part of the processors when others are busy, not that of one process."""
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(parents=True, exist_ok=True)
        for file in (hierarchy / Path(name).parts[0] / each for each in WEIGHTS):
            if file.exists():
                file.write_text(str(WEIGHTS[file.name]))


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
