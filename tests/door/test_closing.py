"""What a door does while the hub's proxy is replaced, and when it is asked to end."""

import asyncio
import contextlib
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from kf_spawner.door.static import Grace
from tests.fixtures.bare_hub import until

from .running_door import DOOR_TOKEN, door_alone, echo, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_who_comes_while_the_hubs_proxy_is_replaced_waits_for_the_next(tmp_path) -> None:
    """A request that cannot be repeated, too: nothing of it was sent before."""
    async with AsyncExitStack() as stack:
        door, proxy = await stack.enter_async_context(door_alone(tmp_path, log_level="DEBUG"))
        log = tmp_path / "traefik.log"
        http = await stack.enter_async_context(aiohttp.ClientSession(door.url))
        page = asyncio.create_task(_body(http, "POST", "/hub/login", b"x" * 100_000, {"Kf-Door-Token": "forged"}))
        socket_ = asyncio.create_task(http.ws_connect("/user/alice/api/kernels/1/channels"))
        for path in ("/hub/login", "/user/alice/api/kernels/1/channels"):
            async with asyncio.timeout(60):
                while f"New attempt 2 for request: {path}" not in log.read_text():
                    await asyncio.sleep(0.05)
        await serve(stack, echo, "127.0.0.1", proxy)
        async with asyncio.timeout(60):
            told = await page
            assert len(told["body"]) == 100_000
            assert told["headers"]["Kf-Door-Token"] == DOOR_TOKEN, "the proxy would not answer"
            async with await socket_ as opened_:
                await opened_.send_str("hello")
                assert await opened_.receive_str() == "hello"


async def test_a_door_that_is_asked_to_end_is_open_until_nothing_leads_there(tmp_path) -> None:
    """Its ping says that it is about to go, and whoever was led there all the same has an answer."""
    async with AsyncExitStack() as stack:
        door, proxy = await stack.enter_async_context(door_alone(tmp_path, grace=Grace(accept=10, answer=0)))
        await serve(stack, echo, "127.0.0.1", proxy)
        door.process.child.terminate()
        await until(f"http://127.0.0.1:{door.ping}/ping", 503, timeout=10)
        async with aiohttp.ClientSession() as late:
            assert (await _body(late, "GET", f"{door.url}/hub/home", b""))["path"] == "/hub/home"
        door.process.child.kill()


async def test_a_door_that_ends_lets_whoever_is_connected_finish(tmp_path) -> None:
    """And goes when nobody is, long before it must."""
    async with AsyncExitStack() as stack:
        door, proxy = await stack.enter_async_context(door_alone(tmp_path, grace=Grace(accept=0, answer=600)))
        await serve(stack, echo, "127.0.0.1", proxy)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{door.url}/user/alice/api/kernels/1/channels") as notebook,
        ):
            door.process.child.terminate()
            await _refused(door.port)
            await notebook.send_str("still there")
            assert await notebook.receive_str(timeout=60) == "still there"
        assert await asyncio.wait_for(door.process.child.wait(), 60) == 0


async def _refused(port: int) -> None:
    """Until nobody takes a connection."""
    with contextlib.suppress(ConnectionError):  # refused, or broken off in the queue
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.05)


async def _body(
    http: aiohttp.ClientSession, method: str, path: str, data: bytes, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    async with http.request(method, path, data=data, headers=headers) as answer:
        return await answer.json(content_type=None)
