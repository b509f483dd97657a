"""Bodies for the hub itself: it gets whole ones, and all together are limited. Who is slow keeps nobody out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from kf_spawner.hub.limits import MAX_BODY
from kf_spawner.hub.proxy import bodies
from kf_spawner.hub.proxy.app import Proxy
from kf_spawner.hub.proxy.bodies import HUB_ROOM, LARGE_ROOM, SMALL

from .conftest import DOOR

FORM = b"username=ada&password=right"


@contextlib.asynccontextmanager
async def begun(proxy: Proxy, size: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A request whose body is one byte short."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    lines = ["POST /hub/slow HTTP/1.1", "Host: h", f"Content-Length: {size}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in DOOR.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + bytes(size - 1))
    try:
        yield reader, writer
    finally:
        writer.close()


async def post(http: aiohttp.ClientSession, path: str, body: bytes) -> tuple[int, str]:
    async with asyncio.timeout(60), http.post(path, data=body) as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("size", [100, MAX_BODY])
async def test_the_hub_is_not_asked_before_the_body_is_whole(proxy, server, monkeypatch, size):
    async with asyncio.timeout(60):
        async with begun(proxy, size) as (reader, writer):
            writer.write(b"\0")
            assert (await reader.readline()).startswith(b"HTTP/1.1 201 ")
        assert server.asked == ["/hub/slow"]
        monkeypatch.setattr(bodies, "BODY_TIMEOUT", 0.2)
        async with begun(proxy, size) as (reader, _):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 408 ")
            assert b"came too slowly" in await reader.readline()
    assert server.asked == ["/hub/slow"], "the hub was asked for a body that does not come"


async def test_slow_senders_of_large_bodies_keep_nobody_from_logging_in(proxy, http, server, monkeypatch):
    monkeypatch.setattr(bodies, "ROOM_TIMEOUT", 0.5)
    async with contextlib.AsyncExitStack() as slow:
        for _ in range(LARGE_ROOM // MAX_BODY):
            await slow.enter_async_context(begun(proxy, MAX_BODY))
        assert (await post(http, "/hub/login", FORM))[0] == 201
        async with asyncio.timeout(60):
            while (answer := await post(http, "/hub/api", bytes(MAX_BODY)))[0] == 201:
                pass  # one of them has not reached the proxy yet
        assert answer[0] == 503
        assert "try again in 10 seconds" in answer[1]
        assert (await post(http, "/hub/login", bytes(SMALL)))[0] == 201
    monkeypatch.undo()
    assert (await post(http, "/hub/api", bytes(MAX_BODY)))[0] == 201, "the room of who has gone is not free"
    assert "/hub/slow" not in server.asked


async def test_the_hub_has_no_more_bodies_than_it_answers(proxy, http, server, monkeypatch):
    monkeypatch.setattr(bodies, "ROOM_TIMEOUT", 60)
    fit = HUB_ROOM // MAX_BODY
    first = [asyncio.create_task(post(http, "/hub/spawn?held", bytes(MAX_BODY))) for _ in range(fit)]
    async with asyncio.timeout(60):
        while len(server.asked) < fit:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(bodies, "ROOM_TIMEOUT", 0.2)
    assert (await post(http, "/hub/login", FORM))[0] == 503
    monkeypatch.setattr(bodies, "ROOM_TIMEOUT", 60)
    waits = asyncio.create_task(post(http, "/hub/login", FORM))
    assert (await post(http, "/user/x/sink", bytes(SMALL)))[0] == 200, "it is not for the hub"
    server.go_on.set()
    assert {status for status, _ in await asyncio.gather(*first, waits)} == {201}
