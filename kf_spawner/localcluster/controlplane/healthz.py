"""Asks a process on loopback over TLS whether it is healthy. Knows only the status line of HTTP.

Without an HTTP library: the checks start before anything else is loaded, and run many times a second.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from .pki import Pair
from .ports import LOOPBACK

TIMEOUT = 5.0
"""Seconds for the connection and the answer."""


def healthy(*, port: int, path: str, authority: Path, client: Pair | None = None) -> Callable[[], Awaitable[bool]]:
    """A function that returns whether GET https://127.0.0.1:`port``path` answers 200 now.

    False if nobody listens, or for any other answer. It reads the certificates at its first call.
    """
    context: ssl.SSLContext | None = None

    async def ask() -> bool:
        nonlocal context
        context = context or _context(authority, client)
        try:
            async with asyncio.timeout(TIMEOUT):
                return await _status(port, path, context) == 200
        except (OSError, TimeoutError, ValueError):
            return False

    return ask


def _context(authority: Path, client: Pair | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    if client:
        context.load_cert_chain(client.certificate, client.key)
    return context


async def _status(port: int, path: str, context: ssl.SSLContext) -> int:
    reader, writer = await asyncio.open_connection(LOOPBACK, port, ssl=context, server_hostname=LOOPBACK)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.transport.abort()
    return int(line.split()[1]) if line.startswith(b"HTTP/") else 0
