"""Identifies processes: by pid, start time and boot, and by a mark in their environment.

A pid alone is not enough, because the kernel reuses pids. Knows nothing of pods.
"""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from .shim import boot_id, start_time

MARK = "KF_SPAWNER_CONTAINER"
PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessName:
    """Identifies one process for good; `claimed_at` is nanoseconds since the epoch."""

    pid: int
    started: str
    boot: str
    claimed_at: int

    @classmethod
    def parse(cls, record: str) -> "ProcessName":
        pid, started, boot, claimed_at = record.split()
        return cls(int(pid), started, boot, int(claimed_at))

    def open(self) -> int | None:
        """A pidfd of the process, or None if the process has ended."""
        if self.boot != boot_id():
            return None
        try:
            fd = os.pidfd_open(self.pid)
        except OSError:
            return None
        with contextlib.suppress(OSError, IndexError):
            if start_time(self.pid) == self.started:
                return fd
        os.close(fd)
        return None


def marked(prefix: str) -> dict[int, str]:
    """pid -> mark, for all processes whose mark begins with `prefix`."""
    found: dict[int, str] = {}
    needle = f"{MARK}={prefix}".encode()
    for entry in os.listdir(PROC):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), open(PROC / entry / "environ", "rb", buffering=0) as file:
            environ = file.read()
            if needle not in environ:
                continue
            for item in environ.split(b"\0"):
                if item.startswith(needle):
                    found[int(entry)] = item.split(b"=", 1)[1].decode(errors="replace")
    return found


def kill_marked(mark: str) -> list[int]:
    """Kills every process with exactly this mark; returns the pids that it found."""
    pids = [pid for pid, its in marked(mark).items() if its == mark]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return pids
