"""The limit: requests as fast as a bare loop over 16 connections sends them. No client library.

`python -m benchmarks.scale.loop KUBECONFIG` connects and prints `ready`; for each name of a file that it reads, it
sends the requests in there, lines of `METHOD PATH BODY`, in order, and prints `done`.
"""

import asyncio
import collections
import sys
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from kf_spawner.kube import load_config
from kf_spawner.kube.config import ClusterConfig

CONNECTIONS = 16

Request = tuple[str, str, bytes]
"""Method, path, body."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class RequestFailed(Exception):
    """An answer of 400 or more, with its beginning."""


class Loop:
    """Use as an async context manager; connects on entry."""

    def __init__(self, config: ClusterConfig):
        self._url, self._tls = urlsplit(config.server), config.tls
        self._connections: list[Connection] = []

    async def __aenter__(self) -> "Loop":
        self._connections = [await self._connect() for _ in range(CONNECTIONS)]
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for _, writer in self._connections:
            writer.close()

    async def _connect(self) -> Connection:
        return await asyncio.open_connection(self._url.hostname, self._url.port, ssl=self._tls)

    async def send(self, requests: Iterable[Request]) -> None:
        """Returns once all were answered well."""
        waiting = collections.deque(requests)
        for index, (reader, writer) in enumerate(self._connections):
            if reader.at_eof():  # the API server ends a connection that was idle for 90 s
                writer.close()
                self._connections[index] = await self._connect()
        async with asyncio.TaskGroup() as group:
            for connection in self._connections:
                group.create_task(self._drain(waiting, *connection))

    async def _drain(
        self, waiting: collections.deque[Request], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while waiting:
            method, path, body = waiting.popleft()
            head = f"{method} {path} HTTP/1.1\r\nHost: {self._url.netloc}\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            text = await _body(reader, answer.lower())
            if int(answer.split(None, 2)[1]) >= 400:
                raise RequestFailed(f"{method} {path}: {text[:500].decode(errors='replace')}")


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" not in head:
        return await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0]))
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


async def main(kubeconfig: str) -> None:
    async with Loop(load_config(kubeconfig)) as loop:
        print("ready", flush=True)
        while file := sys.stdin.readline().strip():
            lines = (line.split(b" ", 2) for line in Path(file).read_bytes().splitlines())
            await loop.send([(method.decode(), path.decode(), body) for method, path, body in lines])
            print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
