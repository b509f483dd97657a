"""Retries a read that the API server refuses for a moment.

A node may read the objects that its pods name. The Node authorizer of the API server learns of a binding from a
watch, so for a moment after the binding it refuses what it will allow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kf_spawner.kube import Forbidden

PATIENCE = 3.0
FIRST_PAUSE = 0.05
LONGEST_PAUSE = 0.4

Answer = TypeVar("Answer")


async def retry_forbidden(ask: Callable[[], Awaitable[Answer]], *, patience: float = PATIENCE) -> Answer:
    """The result of `ask()`. Retries Forbidden for up to `patience` seconds."""
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while True:
        try:
            return await ask()
        except Forbidden:
            if time.monotonic() + pause > deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
