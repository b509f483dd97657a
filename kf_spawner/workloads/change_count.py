"""Counts changes and wakes those who wait for the next one."""

import asyncio


class ChangeCount:
    """A reader that remembers the last count it saw misses no change, however many come at once."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def notify(self, *_what: object) -> None:
        """Counts one more change. Takes what an informer's `on_change` is called with."""
        self.count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def beyond(self, seen: int, *, timeout: float | None = None) -> None:
        """Returns once `count` is above `seen`, or after `timeout` seconds."""
        if self.count > seen:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return
