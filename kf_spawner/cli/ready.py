"""Asks a process on loopback over HTTP whether it is ready. Small, because it asks many times a second."""

import asyncio
from collections.abc import Awaitable, Callable

LOOPBACK = "127.0.0.1"
TIMEOUT = 5.0


def serving(port: int, path: str, *, statuses: tuple[int, ...] = (200,)) -> Callable[[], Awaitable[bool]]:
    """A function that tells whether GET http://127.0.0.1:`port``path` answers one of `statuses` now."""

    async def ask() -> bool:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await _status(port, path) in statuses
        except (OSError, TimeoutError, ValueError):
            return False

    return ask


async def _status(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.transport.abort()
    return int(line.split()[1]) if line.startswith(b"HTTP/") else 0
