"""A lock file between processes. The kernel frees it when its holder dies."""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

POLL = 0.2
"""Seconds between two tries: asyncio cannot wait for a lock file without blocking a thread."""


@contextlib.asynccontextmanager
async def locked(path: Path, *, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Holds the lock of the file `path`; calls `on_wait` once if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Children do not inherit it, so the orphans of a killed holder do not keep it.
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
