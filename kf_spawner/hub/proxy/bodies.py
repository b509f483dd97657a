"""Bodies of requests to the hub itself: each comes whole before the hub is asked, and all together have a limit.

The hub keeps a body in memory from its first byte to the answer, before it asks who the caller is. So whoever sends
many bodies slowly could fill its memory. Here they wait instead, each for a limited time.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator

from aiohttp import web

from ..limits import MAX_BODY
from .refusals import NO_LENGTH, NO_ROOM, TOO_LARGE, TOO_SLOW, Refused

BODY_TIMEOUT = 30.0
"""Seconds for a body to come: at least 9 KiB a second for the largest."""

ROOM_TIMEOUT = 10.0
"""Seconds that a body waits until there is room for it."""

SMALL = 64 * 1024
"""Bytes of a body that an open connection may hold anyway (aiohttp's buffer). It needs no room while it comes, so
slow senders of large bodies keep nobody from logging in or starting a server."""

LARGE_ROOM = 32 * MAX_BODY
"""Bytes of all larger bodies that are coming."""

HUB_ROOM = 64 * MAX_BODY
"""Bytes of all bodies that the hub has, and has not answered yet. A slow sender's is not among them."""


class Room:
    """Room for `size` bytes. Who finds none waits in line."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @contextlib.asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Room for a body. Raises Refused after ROOM_TIMEOUT without any."""
        try:
            async with asyncio.timeout(ROOM_TIMEOUT):
                await self._take(size)
        except TimeoutError:
            raise Refused(NO_ROOM) from None
        try:
            yield
        finally:
            self._give(size)

    async def _take(self, size: int) -> None:
        if not self._line and size <= self._free:
            self._free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            self._give(0 if turn.cancelled() else size)
            raise

    def _give(self, size: int) -> None:
        self._free += size
        while self._line and (self._line[0][1].cancelled() or self._line[0][0] <= self._free):
            needed, turn = self._line.popleft()
            if not turn.cancelled():
                self._free -= needed
                turn.set_result(None)


class HubBodies:
    """All bodies for the hub."""

    def __init__(self) -> None:
        self._coming = Room(LARGE_ROOM)
        self._at_the_hub = Room(HUB_ROOM)

    @contextlib.asynccontextmanager
    async def whole(self, request: web.Request) -> AsyncIterator[bytes | None]:
        """The body; None if there is none. Leave this context when the hub has answered. Raises Refused."""
        if not request.body_exists:
            yield None
            return
        size = request.content_length
        if size is None:
            raise Refused(NO_LENGTH)
        if size > MAX_BODY:
            raise Refused(TOO_LARGE)
        async with contextlib.AsyncExitStack() as while_it_comes:
            if size > SMALL:
                await while_it_comes.enter_async_context(self._coming.taken(size))
            body = await _read(request)
            async with self._at_the_hub.taken(size):
                await while_it_comes.aclose()
                yield body


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except TimeoutError:
        raise Refused(TOO_SLOW) from None
