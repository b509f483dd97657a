"""Requests that no client library would send."""

import asyncio

from .conftest import DOOR

UPGRADE = (
    *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def ask(
    port: int, target: str, *headers: str, method: str = "GET", host: str = "127.0.0.1", door: bool = True
) -> str:
    """The whole answer; its head alone where the connection becomes a WebSocket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(headers or ["Connection: close"])]
    lines += [f"{name}: {value}" for name, value in DOOR.items() if door]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"" if head.startswith(b"HTTP/1.1 101") else await reader.read(5000)
    writer.close()
    return (head + body).decode("latin-1")
