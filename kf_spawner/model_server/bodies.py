"""Reads the bodies of requests: within a limit for each and for all together, for as long as bytes arrive.

A body that is under way takes memory and nothing else: others do not notice callers that are slow.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

TOGETHER = 4
"""How many bodies of the largest size are held at one time, counted in bytes."""


class Bodies:
    """Bodies under way, and those of requests that are not answered yet."""

    def __init__(self, *, largest: int, stall: float, timeout: float) -> None:
        """`largest`: bytes of one; seconds: `stall` between two pieces of one, `timeout` for all of it."""
        self._largest = largest
        self._stall = stall
        self._timeout = timeout
        self._held = 0

    @contextlib.asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[bytes]:
        """The complete body. It counts until the context ends.

        Raises the `web.HTTPException` to answer with, 408, 413 or 429: the rest of the body has not been read.
        """
        pieces: list[bytes] = []
        try:
            await self._receive(request, pieces)
            yield b"".join(pieces)
        finally:
            self._held -= sum(map(len, pieces))

    async def _receive(self, request: web.Request, pieces: list[bytes]) -> None:
        self._check(request.content_length or 0)
        now = asyncio.get_running_loop().time
        end = now() + self._timeout
        size = 0
        try:
            async with asyncio.timeout_at(min(end, now() + self._stall)) as patience:
                while piece := await request.content.readany():
                    patience.reschedule(min(end, now() + self._stall))
                    pieces.append(piece)
                    size += len(piece)
                    self._held += len(piece)
                    self._check(size)
        except TimeoutError:
            limit = f"{self._timeout:g} s" if now() >= end else f"{self._stall:g} s after its last piece"
            raise web.HTTPRequestTimeout(text=f"The request's body did not arrive within {limit}") from None

    def _check(self, size: int) -> None:
        if size > self._largest:
            raise too_large(self._largest)
        if self._held > TOGETHER * self._largest:
            raise web.HTTPTooManyRequests(text="Too many large bodies at one time: try again later")


def too_large(largest: int) -> web.HTTPException:
    """The answer to a body of more than `largest` bytes."""
    return web.HTTPRequestEntityTooLarge(
        largest, largest + 1, text=f"The request's body is larger than {largest} bytes"
    )
