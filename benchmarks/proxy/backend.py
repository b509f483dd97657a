"""A server behind the proxies that costs as little as possible: `python -m benchmarks.proxy.backend PORT`.

- `GET /user/x/small` answers 100 bytes, `GET /user/x/bytes/N` N bytes;
- `PUT /user/x/sink` reads its body, which must have a `Content-Length`, and answers 2 bytes;
- a request with `Upgrade: websocket` becomes a WebSocket that answers each message with one of the same length.
"""

import asyncio
import base64
import hashlib
import sys

from .frames import Frames, frame

PIECE = bytes(256 * 1024)
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""RFC 6455, 1.3."""


class Server(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._head = b""
        self._to_read = 0
        self._to_write = 0
        self._writable = True
        self._frames: Frames | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._frames is not None:
            for length in self._frames.feed(data):
                self._transport.write(frame(length, masked=False))
            return
        if self._to_read:
            self._to_read -= len(data)
            if self._to_read <= 0:
                self._answer(b"ok")
            return
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if end:
            self._head = b""
            self._asked(head, rest)

    def _asked(self, head: bytes, rest: bytes) -> None:
        line, *headers = head.split(b"\r\n")
        path = line.split(b" ")[1]
        values = dict(header.lower().split(b": ", 1) for header in headers)
        if values.get(b"upgrade") == b"websocket":
            key = next(line[19:] for line in headers if line.lower().startswith(b"sec-websocket-key: "))
            accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
            self._frames = Frames()
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
        elif path.endswith(b"/sink"):
            self._to_read = int(values[b"content-length"]) - len(rest)
            if self._to_read <= 0:
                self._answer(b"ok")
        elif b"/bytes/" in path:
            self._to_write = int(path.rpartition(b"/")[2])
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._to_write)
            self._go_on()
        else:
            self._answer(PIECE[:100])

    def _answer(self, body: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    def _go_on(self) -> None:
        while self._to_write and self._writable:
            piece = PIECE[: self._to_write]
            self._to_write -= len(piece)
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._go_on()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
