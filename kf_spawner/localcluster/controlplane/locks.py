"""One at a time, between processes: a lock file. The system frees it when its holder dies. Knows no purpose."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

POLL = 0.2
"""Seconds between two tries: a lock file cannot be awaited without holding up a thread."""


@contextlib.asynccontextmanager
async def locked(path: Path, *, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock of the file `path`; `on_wait` is called once if somebody else has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not inherited by children, so a killed holder's orphans do not keep it.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        waited = False
        while not _try(descriptor):
            if not waited:
                on_wait()
                waited = True
            await asyncio.sleep(POLL)
        yield
    finally:
        os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
