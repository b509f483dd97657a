"""Two connections become one: what comes on either goes to the other, as it is.

A WebSocket passes this way: its messages have no limit, and none is kept whole. A side that reads slowly holds back
the other: what waits to be written to it is limited (asyncio's write buffer), and then nothing more is read.
"""

import asyncio
from collections.abc import Callable
from typing import Any

CONTROL = {0x9, 0xA}
"""Codes of WebSocket frames that keep a connection open: ping and pong (RFC 6455, 5.5)."""


_BUFFER = memoryview(bytearray(256 * 1024))
"""What is read at once, of all tunnels: it is passed on before anything else is read."""


class End(asyncio.BufferedProtocol):
    """What one connection receives goes to `other`."""

    def __init__(self, before: asyncio.BaseProtocol, other: asyncio.Transport, seen: Callable[[], None]) -> None:
        self._before = before
        self._other = other
        self._seen = seen
        self.lost = asyncio.get_running_loop().create_future()

    def get_buffer(self, _size: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, size: int) -> None:
        self._other.write(bytes(_BUFFER[:size]))
        # What is read at once mostly begins with a frame. A page that is open and not used sends nothing but pings.
        if _BUFFER[0] & 0xF not in CONTROL:
            self._seen()

    def pause_writing(self) -> None:
        self._other.pause_reading()

    def resume_writing(self) -> None:
        self._other.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._other.close()
        self._before.connection_lost(error)
        if not self.lost.done():
            self.lost.set_result(None)


class _Early:
    """Takes what came before the tunnel was there: in the form of aiohttp's parsers, which get it first."""

    def __init__(self, other: asyncio.Transport) -> None:
        self._other = other

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._other.write(data)
        return False, b""

    def feed_eof(self) -> None:
        """The connection is lost: so says `End`, too."""


async def join(client: Any, server: Any, seen: Callable[[], None]) -> None:
    """Joins the connections of two of aiohttp's protocols until either ends, and then ends the other.

    Calls `seen` when something passes. Each protocol still learns when its connection is lost.
    """
    near, far = client.transport, server.transport
    client.set_parser(_Early(far))
    server.set_parser(_Early(near), None)
    ends = End(client, far, seen), End(server, near, seen)
    near.set_protocol(ends[0])
    far.set_protocol(ends[1])
    try:
        await ends[0].lost
    finally:
        far.close()
        near.close()
