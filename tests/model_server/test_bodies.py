"""Which requests wait for which: slow bodies for none, complete ones in a queue, and none beyond the limits."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from tests.model_server.test_threads import PREDICT, Model, answer, served

SLOW = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{".encode()


async def opened(client: TestClient, sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    return reader, writer


def complete(body: bytes) -> bytes:
    return SLOW.replace(b" 100", f" {len(body)}".encode())[:-1] + body


async def test_slow_bodies_take_no_place():
    async with served(Model(), queue=0) as client:
        slow = [await opened(client, SLOW) for _ in range(50)]
        assert await answer(client, b"quick") == b"quick"
        for reader, writer in slow:
            writer.write(b"x" * 99)
            assert b" 200 " in await asyncio.wait_for(reader.readline(), 60)
            writer.close()
            await reader.read()  # to its end, so that the next finds the place free


@pytest.mark.parametrize("limits", [{"body_timeout": 0.1}, {"timeout": 0.1}], ids=lambda limits: next(iter(limits)))
async def test_a_body_that_does_not_arrive_is_408(limits):
    async with served(Model(), **limits) as client:
        reader, writer = await opened(client, SLOW)
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in said
        assert b"did not arrive within 0.1 s" in said


async def test_bodies_are_limited_together():
    async with served(Model(), threads=4, max_body=1000) as client:
        held = [await opened(client, SLOW.replace(b" 100", b" 1000") + b"x" * 998) for _ in range(4)]
        async with asyncio.timeout(60):
            while (refused := await status(client, b"x" * 999))[0] != 429:
                pass  # the bytes above are on their way
        assert refused[1] == "1"
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(60):
            while (await status(client, b"x" * 999))[0] != 200:
                pass


async def status(client: TestClient, body: bytes) -> tuple[int, str | None]:
    async with client.post(PREDICT, data=body) as response:
        return response.status, response.headers.get("Retry-After")


async def test_requests_wait_in_a_queue_and_beyond_it_are_429():
    model = Model()
    async with served(model, threads=2, queue=2) as client:
        running = asyncio.create_task(answer(client, b"both 1"))
        waiting = [asyncio.create_task(answer(client, b"long")) for _ in range(3)]
        async with asyncio.timeout(60):
            while len(model.predicted) < 4:
                await asyncio.sleep(0.01)
        assert await status(client, b"") == (429, "1")
        model.may_write.set()
        assert await asyncio.gather(*waiting) == [b"long"] * 3
        assert await answer(client, b"both 2") == b"both 2"
        assert await running == b"both 1"


async def test_a_caller_that_has_gone_is_not_predicted():
    model = Model()
    async with served(model) as client:
        running = asyncio.create_task(answer(client, b"both"))
        async with asyncio.timeout(60):
            while not model.both.n_waiting:
                await asyncio.sleep(0.01)
        _, writer = await opened(client, complete(b"gone"))
        last = asyncio.create_task(answer(client, b"last"))
        writer.close()
        await writer.wait_closed()
        await asyncio.to_thread(model.both.wait, 60)
        assert (await running, await last) == (b"both", b"last")
        assert model.predicted == [b"both", b"last"]
