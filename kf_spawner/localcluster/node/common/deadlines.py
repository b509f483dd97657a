"""A deadline that can move nearer while a task waits for it, and the cancelling of tasks."""

import asyncio
from collections.abc import Awaitable
from typing import Any


class Deadline:
    """`seconds` from now; `shorten` moves it nearer, never away."""

    def __init__(self, seconds: float):
        self._at = asyncio.get_running_loop().time() + max(0.0, seconds)
        self._scopes: set[asyncio.Timeout] = set()

    @property
    def remaining(self) -> float:
        return max(0.0, self._at - asyncio.get_running_loop().time())

    def shorten(self, seconds: float) -> None:
        at = asyncio.get_running_loop().time() + max(0.0, seconds)
        if at < self._at:
            self._at = at
            for scope in self._scopes:
                scope.reschedule(at)

    async def met_by(self, awaitable: Awaitable[Any]) -> bool:
        """Whether `awaitable` ends before the deadline; cancels it otherwise."""
        try:
            async with asyncio.timeout_at(self._at) as scope:
                self._scopes.add(scope)
                try:
                    await awaitable
                finally:
                    self._scopes.discard(scope)
        except TimeoutError:
            if scope.expired():
                return False
            raise
        return True


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancels the tasks and returns once they have ended; ignores their errors."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
