"""Asking for what a pod names as soon as the API server lets the node have it.

A node may read what the pods bound to it name. The API server's Node authorizer learns of a binding from a watch, so
for a moment after one it refuses what it will allow.
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
    """The answer to `ask()`; a Forbidden one counts only after `patience` seconds of asking again."""
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
