"""How the proxy ends: nobody who has been let in goes without an answer."""

import asyncio
import contextlib
import signal
import sys

import aiohttp
import pytest

from kf_spawner.hub.proxy import app
from tests.fixtures.bare_hub import ROOT, Process, until
from tests.fixtures.ports import free_ports

from .conftest import DOOR

QUESTION = b"GET /user/x/nothing HTTP/1.1\r\nHost: x\r\nKf-Door-Token: door-secret\r\n\r\n"


async def test_answers_come_to_their_end_and_who_comes_then_is_refused(server, proxy, http):
    """Refused, a client can ask the next proxy."""
    async with asyncio.timeout(60), http.get("/user/x/stream") as answer:
        assert await answer.content.readline() == b"one\n"
        ending = asyncio.create_task(proxy.end())
        await _refused(proxy.port)
        assert not ending.done()
        server.go_on.set()
        assert await answer.content.read() == b"two\n"
        await ending


async def test_whoever_is_connected_may_ask(proxy):
    """Or come with what is under way: cut off, it would not be sent to the next proxy again."""
    early, late = [await asyncio.open_connection("127.0.0.1", proxy.port) for _ in range(2)]
    early[1].write(QUESTION)
    ending = asyncio.create_task(proxy.end())
    async with asyncio.timeout(60):
        assert await early[0].readline() == b"HTTP/1.1 204 No Content\r\n"
        await _refused(proxy.port)
        late[1].write(QUESTION)
        head = (await late[0].readuntil(b"\r\n\r\n")).split(b"\r\n")
        assert head[0] == b"HTTP/1.1 204 No Content"
        assert b"Connection: close" in head
        await ending
    for _, writer in (early, late):
        writer.close()


async def test_nobody_is_waited_for_longer_than_that(proxy, http, monkeypatch):
    monkeypatch.setattr(app, "LAST_ANSWERS", 0.2)
    async with asyncio.timeout(60), http.get("/user/x/stream") as answer:
        await answer.content.readline()
        await proxy.end()


async def test_a_web_socket_is_not_waited_for(proxy, http):
    async with asyncio.timeout(60), http.ws_connect("/user/x/sockets") as socket:
        await socket.receive_str()
        await asyncio.wait_for(proxy.end(), app.LAST_ANSWERS / 2)


async def test_the_program_ends_when_it_is_asked_to_whoever_is_connected(server, tmp_path):
    """As a container's first process, too: one that only leaves the signal to its default is not ended by it."""
    port, api = free_ports(2)
    argv = [sys.executable, "-m", "kf_spawner.hub.proxy", f"--port={port}", f"--api-port={api}", "--debug"]
    env = {"CONFIGPROXY_AUTH_TOKEN": "secret", "KF_DOOR_TOKEN": DOOR["Kf-Door-Token"]}
    url = f"http://127.0.0.1:{port}"
    async with (
        Process(argv, log=tmp_path / "proxy.log", cwd=ROOT, env=env) as process,
        aiohttp.ClientSession(headers=DOOR) as http,
    ):
        await until(f"{url}/_chp_healthz")
        route = {"target": server.url, "hub": True}
        headers = {"Authorization": "token secret"}
        async with http.post(f"http://127.0.0.1:{api}/api/routes/", json=route, headers=headers) as told:
            assert told.status == 201
        async with (
            asyncio.timeout(60),
            http.ws_connect(f"{url}/user/x/sockets"),
            http.get(f"{url}/user/x/stream") as answer,
        ):
            assert await answer.content.readline() == b"one\n"
            process.child.send_signal(signal.SIGTERM)
            assert await process.child.wait() == 0
    said = (tmp_path / "proxy.log").read_text()
    assert "Traceback" not in said
    assert "was destroyed" not in said


async def test_without_the_hubs_secret_the_program_does_not_start(tmp_path):
    argv = [sys.executable, "-m", "kf_spawner.hub.proxy"]
    env = {"CONFIGPROXY_AUTH_TOKEN": "", "KF_DOOR_TOKEN": "b"}
    async with Process(argv, log=tmp_path / "proxy.log", cwd=ROOT, env=env) as process:
        assert await process.child.wait() == 1
    (line,) = (tmp_path / "proxy.log").read_text().splitlines()
    assert "CONFIGPROXY_AUTH_TOKEN is not set" in line


@pytest.mark.parametrize("token", ["", DOOR["Kf-Door-Token"]])
async def test_without_the_doors_secret_everybody_is_told_so(tmp_path, token):
    """As after an upgrade that brought no such secret: to end would leave them without any answer."""
    port, api = free_ports(2)
    argv = [sys.executable, "-m", "kf_spawner.hub.proxy", f"--port={port}", f"--api-port={api}"]
    env = {"CONFIGPROXY_AUTH_TOKEN": "a", "KF_DOOR_TOKEN": ""}
    log = tmp_path / "proxy.log"
    async with Process(argv, log=log, cwd=ROOT, env=env), aiohttp.ClientSession() as http:
        await until(f"http://127.0.0.1:{port}/_chp_healthz")
        async with http.get(f"http://127.0.0.1:{port}/hub/login", headers={"Kf-Door-Token": token}) as answer:
            assert answer.status == 503
            assert "KF_DOOR_TOKEN" in await answer.text()
    first, *_ = log.read_text().splitlines()
    assert "the key door-token of the Secret" in first


async def _refused(port: int) -> None:
    """Until nobody takes a connection."""
    with contextlib.suppress(ConnectionError):
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(QUESTION)
            writer.close()
            await asyncio.sleep(0.01)
