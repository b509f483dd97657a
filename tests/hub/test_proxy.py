"""The hub's proxy on one machine: answers pass as they come, in both directions, and end when either side goes.

Also whom it answers, and that nothing but the route that matches chooses the server.
"""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from tests.fixtures.bare_hub import Process, until
from tests.fixtures.hub import ROOT
from tests.fixtures.ports import free_ports
from tests.hub.raw_request import DOOR, TARGETS, UPGRADE, ask

HUBS_OWN = {"hub": True}


class Server:
    """What a user's server might do; `left` is set when a caller of /stream has gone."""

    def __init__(self):
        self.left = asyncio.Event()
        self.go_on = asyncio.Event()

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"one\n")
        try:
            await self.go_on.wait()
            await response.write(b"two\n")
        except asyncio.CancelledError:
            self.left.set()
            raise
        return response

    async def broken(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        request.transport.close()
        return response

    async def echo(self, request: web.Request) -> web.Response:
        told = {
            "method": request.method,
            "path": request.raw_path,
            "body": (await request.read()).decode(),
            "headers": {name: request.headers.getall(name) for name in request.headers},
        }
        response = web.json_response(told, status=201)
        response.headers.add("Set-Cookie", "a=1; Path=/user/")
        response.headers.add("Set-Cookie", "b=2; Path=/user/")
        return response

    async def redirect(self, request: web.Request) -> web.Response:
        raise web.HTTPFound("/user/x/elsewhere")

    async def nothing(self, request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def sockets(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, protocols=["v2.example", "v1.example"])
        await socket.prepare(request)
        async for message in socket:
            if message.data == "close":
                break
            if message.type == aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            else:
                await socket.send_str(message.data)
        return socket


@pytest.fixture
async def server():
    behind = Server()
    app = web.Application()
    for name in ("stream", "broken", "redirect", "nothing", "sockets"):
        app.router.add_get(f"/user/x/{name}", getattr(behind, name))
    app.router.add_route("*", "/user/x/echo{rest:.*}", behind.echo)
    app.router.add_route("*", "/{rest:(?!user/).*}", behind.echo)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    behind.port = runner.addresses[0][1]
    yield behind
    await runner.cleanup()


class New:
    """A proxy that nobody has told a route yet."""

    def __init__(self, process: Process, port: int, api: int, log: Path, target: str):
        self.process, self.url, self.log = process, f"http://127.0.0.1:{port}", log
        self.port, self._api, self._target = port, api, target

    async def add_route(
        self, http: aiohttp.ClientSession, path: str, *, data: dict | None = None, **headers: str
    ) -> int:
        """`data` of the hub's own route says which it is."""
        routes = f"http://127.0.0.1:{self._api}/api/routes{path}"
        route = {"target": self._target, **(data or {})}
        async with http.post(routes, json=route, headers=headers) as answer:
            return answer.status

    async def until_logged(self, words: str) -> None:
        async with asyncio.timeout(60):
            while words not in self.log.read_text():
                await asyncio.sleep(0.05)


@pytest.fixture
async def new(server, tmp_path):
    port, api = free_ports(2)
    argv = [sys.executable, "-m", "kf_spawner.hub.proxy", "--ip=127.0.0.1", f"--port={port}"]
    argv += ["--api-ip=127.0.0.1", f"--api-port={api}", "--log-level=debug"]
    log = tmp_path / "proxy.log"
    async with Process(
        argv, log=log, cwd=ROOT, env={"CONFIGPROXY_AUTH_TOKEN": "secret", "KF_DOOR_TOKEN": DOOR["Kf-Door-Token"]}
    ) as process:
        await until(f"http://127.0.0.1:{port}/_chp_healthz")
        yield New(process, port, api, log, f"http://127.0.0.1:{server.port}")


@pytest.fixture
async def proxy(new):
    async with aiohttp.ClientSession(headers=DOOR) as http:
        assert await new.add_route(http, "/user/x", Authorization="token secret") == 201
        assert await new.add_route(http, "/user/y") == 403
        assert await new.add_route(http, "/hub", data=HUBS_OWN, Authorization="token secret") == 201
        yield new.url, http


async def test_an_answer_comes_as_it_is_given(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60), http.get(f"{url}/user/x/stream") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readline() == b"one\n"
        server.go_on.set()
        assert await response.content.readline() == b"two\n"
        assert await response.content.read() == b""


async def test_many_open_streams_block_nobody(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            response = await stack.enter_async_context(http.get(f"{url}/user/x/stream"))
            assert await response.content.readline() == b"one\n"
        async with http.get(f"{url}/user/x/nothing") as response:
            assert response.status == 204


async def test_a_caller_who_leaves_ends_the_request(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60):
        async with http.get(f"{url}/user/x/stream") as response:
            await response.content.readline()
            response.close()
        await server.left.wait()


async def test_a_server_that_breaks_off_is_noticed(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60), http.get(f"{url}/user/x/broken") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_requests_pass_as_they_are(server, proxy, method):
    url, http = proxy
    target = f"{url}/user/x/echo/a%2Fb%20c?x=%26&y"
    headers = {"X-Own": "1", "Authorization": "token t"}
    body = "" if method == "GET" else "some body"
    async with http.request(method, URL(target, encoded=True), data=body or None, headers=headers) as response:
        assert response.status == 201
        assert response.headers.getall("Set-Cookie") == ["a=1; Path=/user/", "b=2; Path=/user/"]
        told = await response.json()
    assert told["method"] == method
    assert told["path"] == "/user/x/echo/a%2Fb%20c?x=%26&y"
    assert told["body"] == body
    assert told["headers"]["X-Own"] == ["1"]
    assert told["headers"]["Authorization"] == ["token t"]
    assert told["headers"]["Host"] == [url.removeprefix("http://")]


@pytest.fixture
async def elsewhere():
    """A server that no route leads to: its port, and the paths of the requests that have come."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        return web.Response(text="a secret")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1], asked
    await runner.cleanup()


async def test_nothing_but_the_route_chooses_the_server(server, new, proxy, elsewhere):
    """The server that the route leads to is asked, with the path as it was spelled; or nobody is."""
    port, asked = elsewhere
    assert await new.add_route(proxy[1], "/", Authorization="token secret") == 201
    for form, status in TARGETS.items():
        target = form.format(port=port)
        answer = await ask(new.port, target)
        assert answer.startswith(f"HTTP/1.1 {status} "), target
        assert status != 201 or json.loads(answer.partition("\r\n\r\n")[2])["path"] == target
        await ask(new.port, target, *UPGRADE)
        assert asked == [], target


async def test_only_the_door_is_answered(server, new, proxy):
    for headers in ((), ("Kf-Door-Token: guess",), ("Kf-Door-Token: door-secret", "Kf-Door-Token: guess")):
        for more in (("Connection: close",), UPGRADE):
            answer = await ask(new.port, "/user/x/echo", *headers, *more, door=False)
            assert answer.startswith("HTTP/1.1 403 ")
            assert "Only the door" in answer
    assert (await ask(new.port, "/_chp_healthz", door=False)).startswith("HTTP/1.1 200 ")
    told = await ask(new.port, "/user/x/echo")
    assert told.startswith("HTTP/1.1 201 ")
    assert DOOR["Kf-Door-Token"] not in told, "a user's server learns the token"


async def test_without_a_password_each_request_must_name_this_machine(server, new, proxy):
    """The hub says so with its own route. A page on the internet can point its own name at 127.0.0.1."""
    foreign = ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example")
    assert (await ask(new.port, "/user/x/echo", host=foreign[0])).startswith("HTTP/1.1 201 ")
    own = {"hub": True, "names": ["host.example"]}
    assert await new.add_route(proxy[1], "/hub", data=own, Authorization="token secret") == 201
    for host in foreign:
        for more in ((), UPGRADE):
            answer = await ask(new.port, "/user/x/echo", *more, host=host)
            assert answer.startswith("HTTP/1.1 403 "), host
            assert "localhost and 127.0.0.1 only" in answer
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "host.example", "LOCALHOST"):
        assert (await ask(new.port, "/user/x/echo", host=host)).startswith("HTTP/1.1 201 "), host


async def test_without_the_doors_token_it_does_not_start(tmp_path):
    argv = [sys.executable, "-m", "kf_spawner.hub.proxy"]
    async with Process(argv, log=tmp_path / "proxy.log", cwd=ROOT, env={"KF_DOOR_TOKEN": ""}) as process:
        assert await process.child.wait() == 1
    assert (tmp_path / "proxy.log").read_text().startswith("KF_DOOR_TOKEN is not set")


async def test_redirects_and_empty_answers(server, proxy):
    url, http = proxy
    async with http.get(f"{url}/user/x/redirect", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/user/x/elsewhere")
    async with http.head(f"{url}/user/x/echo") as response:
        assert response.status == 201
        assert await response.read() == b""
    async with http.get(f"{url}/nowhere") as response:
        assert response.status == 404


async def test_web_sockets_with_large_messages(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60), http.ws_connect(f"{url}/user/x/sockets", max_msg_size=0) as socket:
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        await socket.send_bytes(bytes(15 * 1024 * 1024))
        message = await socket.receive()
        assert message.type == aiohttp.WSMsgType.BINARY
        assert len(message.data) == 15 * 1024 * 1024


async def test_the_subprotocol_is_the_servers_choice(server, proxy):
    url, http = proxy
    async with http.ws_connect(f"{url}/user/x/sockets", protocols=["v3.example", "v2.example"]) as socket:
        assert socket.protocol == "v2.example"
    async with http.ws_connect(f"{url}/user/x/sockets") as socket:
        assert socket.protocol is None


async def test_a_web_socket_closes_with_its_server(server, proxy):
    url, http = proxy
    async with asyncio.timeout(60), http.ws_connect(f"{url}/user/x/sockets") as socket:
        await socket.send_str("close")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_a_web_socket_to_nobody_is_refused(server, proxy):
    url, http = proxy
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{url}/user/x/not-there")
    assert caught.value.status == 404
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await http.ws_connect(f"{url}/nowhere")
    assert caught.value.status == 404


async def test_who_comes_before_the_hubs_own_route_waits_for_it(new):
    """The hub tells a new proxy its routes within ten seconds, its own last; until then nobody is told that there is
    nothing, nor is sent to the hub."""
    async with aiohttp.ClientSession(headers=DOOR) as http:
        page = asyncio.create_task(_status(http, f"{new.url}/user/x/nothing"))
        socket = asyncio.create_task(http.ws_connect(f"{new.url}/user/x/sockets"))
        await new.until_logged("Not all routes yet: GET /user/x/nothing waits")
        await new.until_logged("Not all routes yet: GET /user/x/sockets waits")
        assert await new.add_route(http, "/user/y", Authorization="token secret") == 201
        later = asyncio.create_task(_status(http, f"{new.url}/user/x/echo"))
        await new.until_logged("Not all routes yet: GET /user/x/echo waits")
        assert await new.add_route(http, "/user/x", Authorization="token secret") == 201
        assert await new.add_route(http, "/hub", data=HUBS_OWN, Authorization="token secret") == 201
        async with asyncio.timeout(60):
            assert await page == 204
            assert await later == 201
            async with await socket as opened:
                await opened.send_str("hello")
                assert await opened.receive_str() == "hello"


async def test_it_ends_when_it_is_asked_to_whoever_is_connected(new, proxy):
    """As a container's first process, too: one that only leaves the signal to its default is not ended by it."""
    url, http = proxy
    async with (
        asyncio.timeout(60),
        http.ws_connect(f"{url}/user/x/sockets"),
        http.get(f"{url}/user/x/stream") as answer,
    ):
        assert await answer.content.readline() == b"one\n"
        new.process.child.terminate()
        assert await new.process.child.wait() == 0
    said = new.log.read_text()
    assert "Traceback" not in said
    assert "was destroyed" not in said


async def test_before_it_ends_answers_come_to_their_end(server, new, proxy):
    """Who comes then is refused, and can ask the next proxy."""
    url, http = proxy
    async with asyncio.timeout(60), http.get(f"{url}/user/x/stream") as answer:
        assert await answer.content.readline() == b"one\n"
        new.process.child.terminate()
        await _refused(http, f"{url}/user/x/nothing")
        server.go_on.set()
        assert await answer.content.readline() == b"two\n"
        assert await answer.content.read() == b""
        assert await new.process.child.wait() == 0


async def test_before_it_ends_whoever_is_connected_may_ask(new, proxy):
    """Or to come with what is under way: cut off, it would not be sent to the next proxy again."""
    port = URL(proxy[0]).port
    new.process.child.send_signal(signal.SIGSTOP)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
    *early, (reads, writes) = connections
    question = b"GET /user/x/nothing HTTP/1.1\r\nHost: x\r\nKf-Door-Token: door-secret\r\n\r\n"
    for _, writer in early:
        writer.write(question)
    new.process.child.terminate()
    new.process.child.send_signal(signal.SIGCONT)
    async with asyncio.timeout(60):
        for reader, _ in early:
            assert await reader.readline() == b"HTTP/1.1 204 No Content\r\n"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reads.read(1), timeout=0.2)  # it is not closed meanwhile
        writes.write(question)
        assert await reads.readline() == b"HTTP/1.1 204 No Content\r\n"
        assert await new.process.child.wait() == 0
    for _, writer in connections:
        writer.close()


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status


async def _refused(http: aiohttp.ClientSession, url: str) -> None:
    """Until nobody takes a connection."""
    with contextlib.suppress(aiohttp.ClientConnectorError):
        while True:
            assert await _status(http, url) == 204
