"""The REST API as JupyterHub uses it."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from yarl import URL

from .conftest import HUB
from .raw import ask


@pytest.fixture
async def api(new):
    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{new.api_port}") as session:
        yield session


async def test_routes_are_added_listed_and_removed(new, api):
    x = {"target": "http://127.0.0.1:1", "user": "x", "server_name": ""}
    for path, body in (("/user/x%40y", x), ("/user/x%0Ay", x), ("/", {"target": "http://127.0.0.1:2", "hub": True})):
        async with api.post(URL(f"/api/routes{path}", encoded=True), json=body, headers=HUB) as answer:
            assert answer.status == 201
    assert new.routes.complete.is_set()
    async with api.get("/api/routes", headers=HUB) as answer:
        told = await answer.json()
    used = datetime.fromisoformat(told["/user/x@y"].pop("last_activity"))
    assert abs(datetime.now(UTC) - used) < timedelta(minutes=1)
    assert told["/user/x@y"] == x
    assert told["/"]["hub"] is True
    for status in (204, 404):
        for path in ("x%40y", "x%0Ay"):
            async with api.delete(URL(f"/api/routes/user/{path}", encoded=True), headers=HUB) as answer:
                assert answer.status == status


async def test_only_the_hub_may_call_it(new, api):
    for headers in ({}, {"Authorization": "token guess"}, {"Authorization": "api-secret"}):
        for method in ("GET", "POST", "DELETE"):
            async with api.request(method, "/api/routes", json={"target": "http://x"}, headers=headers) as answer:
                assert answer.status == 403
    answer = await ask(new.api_port, "/api/routes", "Authorization: token \xff", "Connection: close", door=False)
    assert answer.startswith("HTTP/1.1 403 "), "bytes that are no UTF-8"
    assert new.routes.all() == {}


async def test_what_is_wrong_is_said(api):
    for body, words in (("{", "Expecting property name"), ('{"target": 1}', "target: give the server's URL")):
        async with api.post("/api/routes/x", data=body, headers=HUB) as answer:
            assert answer.status == 400
            assert words in await answer.text()


async def test_traffic_is_noted(proxy, http):
    route = proxy.routes.all()["/user/x"]
    route.used = 0
    async with http.get("/user/x/redirect", allow_redirects=False):
        pass
    assert route.used == 0, "an answer that is no success counts"
    async with http.get("/user/x/nothing"):
        pass
    assert route.used > 0
    async with http.ws_connect("/user/x/sockets") as socket:
        await socket.receive_str()
        route.used = 0
        await socket.ping()
        async with http.get("/nowhere/else"):  # the ping has passed meanwhile
            pass
        assert route.used == 0, "a ping counts"
        await socket.send_str("hello")
        await socket.receive_str()
        assert route.used > 0
    await asyncio.sleep(0)
