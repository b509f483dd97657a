"""How fast the requests of a large job follow each other, so that the API server has time for the jobs of others."""

import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterable
from time import monotonic
from typing import TypeVar

from .queue import WorkQueue

A = TypeVar("A")
B = TypeVar("B")
AT_ONCE = 4
"""Requests of a large job at the same time while no other namespace has work."""
PATIENCE = 0.1
"""Seconds that one waits for the work of other namespaces at most: a large job must go on beside many small ones."""
REST = 1.0
"""Beside the work of other namespaces: the time between two requests, in times of what the first of them took."""


class Pace:
    """Sends the requests of large jobs."""

    def __init__(self, queue: WorkQueue):
        self._queue = queue

    async def each(self, key: str, act: Callable[[A], Awaitable[B]], items: Iterable[A]) -> list[B | BaseException]:
        """What `act`, a request of the large job `key`, returned or raised for each of `items`.

        AT_ONCE at the same time; beside the work of other namespaces one after the other, with a rest after each.
        """
        gate = asyncio.Semaphore(1 if self._queue.is_shared(key) else AT_ONCE)

        async def one(item: A) -> B:
            async with gate:
                await self._queue.give_way(key, PATIENCE)
                began = monotonic()
                try:
                    return await act(item)
                finally:
                    if self._queue.is_shared(key):
                        await sleep(REST * (monotonic() - began))

        return await asyncio.gather(*map(one, items), return_exceptions=True)
