"""Requests that no client library would send."""

import asyncio

DOOR = {"Kf-Door-Token": "door-secret"}
UPGRADE = (
    *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


async def ask(port: int, target: str, *headers: str, host: str = "127.0.0.1", door: bool = True) -> str:
    """The answer to a request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"GET {target} HTTP/1.1", f"Host: {host}", *(headers or ["Connection: close"])]
    lines += [f"{name}: {value}" for name, value in DOOR.items() if door]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        body = b"" if head.startswith(b"HTTP/1.1 101") else await reader.read(2000)
    writer.close()
    return (head + body).decode()


TARGETS = {
    "//127.0.0.1:{port}/secret": 201,
    "//user@127.0.0.1:{port}/secret": 201,
    "///127.0.0.1:{port}/secret": 201,
    "/\\127.0.0.1:{port}/secret": 201,
    "/%2f%2f127.0.0.1:{port}/secret": 201,
    "/user/x/echo/..//127.0.0.1:{port}/secret": 201,
    "/user/x/echo@127.0.0.1:{port}/secret": 201,
    "/?next=//127.0.0.1:{port}/secret": 201,
    "http://127.0.0.1:{port}/secret": 404,
    "http://user@127.0.0.1:{port}/secret": 404,
    "http:/127.0.0.1:{port}/secret": 404,
    "@127.0.0.1:{port}/secret": 404,
    "127.0.0.1:{port}/secret": 404,
    "*": 404,
}
"""How a request's target might name another server -> the answer."""
