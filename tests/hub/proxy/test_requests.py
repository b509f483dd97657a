"""How requests and answers pass: as they are, piece by piece, and only from the door to the route's server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from kf_spawner.hub.forwarded import FORWARDED_FOR, PROOF, proof
from kf_spawner.serving import IAP_HEADER

from .conftest import add
from .raw import UPGRADE, ask


async def test_an_answer_comes_as_it_is_given(server, proxy, http):
    async with asyncio.timeout(60), http.get("/user/x/stream") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert await response.content.readline() == b"one\n"
        server.go_on.set()
        assert await response.content.readline() == b"two\n"
        assert await response.content.read() == b""


async def test_many_open_streams_block_nobody(proxy, http):
    async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            response = await stack.enter_async_context(http.get("/user/x/stream"))
            assert await response.content.readline() == b"one\n"
        async with http.get("/user/x/nothing") as response:
            assert response.status == 204


async def test_a_caller_who_leaves_ends_the_request(server, proxy, http):
    async with asyncio.timeout(60):
        async with http.get("/user/x/stream") as response:
            await response.content.readline()
            response.close()
        await server.left.wait()


@pytest.mark.parametrize("query", ["", "?chunked"])
async def test_a_server_that_breaks_off_is_noticed(proxy, http, query):
    async with asyncio.timeout(60), http.get(f"/user/x/broken{query}") as response:
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
async def test_requests_pass_as_they_are(proxy, http, method):
    forwarded = {"X-Forwarded-For": "203.0.113.1", "X-Forwarded-Proto": "https"}
    headers = {"X-Own": "1", "Authorization": "token t", **forwarded}
    body = "" if method == "GET" else "some body"
    target = URL("/user/x/echo/a%2Fb%20c?x=%26&y", encoded=True)
    async with http.request(method, target, data=body or None, headers=headers) as response:
        assert response.status == 201
        assert response.headers.getall("Set-Cookie") == ["a=1; Path=/user/", "b=2; Path=/user/"]
        assert "Server" in response.headers
        told = await response.json()
    assert told["method"] == method
    assert told["path"] == "/user/x/echo/a%2Fb%20c?x=%26&y"
    assert told["body"] == body
    for name, value in headers.items():
        assert told["headers"][name] == [value]
    assert told["headers"]["Host"] == [f"127.0.0.1:{proxy.port}"]
    assert "Kf-Door-Token" not in told["headers"], "a user's server learns the token"


async def test_a_users_server_gets_no_signed_login_of_its_visitors(proxy, http):
    """By it the server's user could log in at the hub as the visitor."""
    for path, passed in (("/hub/login", True), ("/user/x/echo", False)):
        async with http.get(path, headers={IAP_HEADER.upper(): "signed"}) as response:
            names = {name.lower() for name in (await response.json())["headers"]}
        assert (IAP_HEADER.lower() in names) == passed, path


FEW_HEADERS = b"HTTP/1.1 299 Fine so\r\nContent-Length: 2\r\nX-Bytes: \xc3\xa9\r\n\r\nok"
LATIN_1 = b"HTTP/1.1 200 Bien s\xfbr\r\nX-Both: \xc3\xa9 \xe9\r\nSet-Cookie: caf\xe9=1\r\nContent-Length: 0\r\n\r\n"


@contextlib.asynccontextmanager
async def bare_server(answered: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answers each request with these bytes, and closes the connection: its URL, and the heads of the requests."""
    heads = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answered)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", heads


async def test_nothing_is_added_or_changed_on_the_way(proxy, server):
    """What no client library leaves out or writes so."""
    headers = ("Connection: close, X-Hop", "X-Hop: 1", "x-CASE: Kept")
    answer = await ask(proxy.port, "/user/x/echo", *headers)
    told = json.loads(answer.partition("\r\n\r\n")[2])
    assert set(told["headers"]) == {"Host", "x-CASE"}
    async with bare_server(FEW_HEADERS) as (url, _):
        add(proxy, "/bare", url)
        answer = await ask(proxy.port, "/bare")
    head = answer.partition("\r\n\r\n")[0].split("\r\n")
    assert head == ["HTTP/1.1 299 Fine so", "Content-Length: 2", "X-Bytes: \xc3\xa9", "Connection: close"]


@pytest.mark.parametrize("hub", [False, True])
async def test_bytes_of_heads_that_are_no_utf_8_pass_as_they_are(proxy, hub):
    """Latin-1, as older programs send it, both ways, beside UTF-8."""
    sent = ["X-Both: \xc3\xa9 \xe9", f"{FORWARDED_FOR}: caf\xe9"]
    async with bare_server(LATIN_1) as (url, heads):
        add(proxy, "/bare", url, hub=hub)
        answer = await ask(proxy.port, "/bare", *sent, "Connection: close")
    assert answer.encode("latin-1").startswith(LATIN_1.removesuffix(b"\r\n"))
    assert {line.encode("latin-1") for line in sent} <= set(heads[0].split(b"\r\n"))


@pytest.mark.parametrize(
    "head", ["200 O\x01K\r\nX: a", "200 OK\r\nX: a\x1bb", "101 S\r\nUpgrade: websocket\r\nX: a\x7fb"]
)
async def test_an_answer_with_a_control_character_in_its_head_is_an_error_in_words(proxy, head):
    async with bare_server(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode()) as (url, _):
        add(proxy, "/bare", url)
        answer = await ask(proxy.port, "/bare", "Connection: close")
    assert answer.startswith("HTTP/1.1 503 "), answer


async def test_only_the_hub_gets_a_proof_of_where_a_request_comes_from(proxy, http):
    """A caller's own proof goes nowhere: users' servers could keep it, and the hub would believe it."""
    headers = {FORWARDED_FOR: "192.0.2.1", PROOF: "forged"}
    async with http.get("/hub/login", headers=headers) as response:
        assert (await response.json())["headers"][PROOF] == [proof("api-secret", "192.0.2.1")]
    async with http.get("/user/x/echo", headers=headers) as response:
        assert PROOF not in (await response.json())["headers"]


async def test_redirects_and_empty_answers(proxy, http):
    async with http.get("/user/x/redirect", allow_redirects=False) as response:
        assert (response.status, response.headers["Location"]) == (302, "/user/x/elsewhere")
    async with http.head("/user/x/echo") as response:
        assert response.status == 201
        assert int(response.headers["Content-Length"]) > 100
        assert await response.read() == b""


@pytest.mark.parametrize("code", ["0A", "0D", "0D%0A", "00", "09", "20", "7F", "85", "FF", "E2%80%A8"])
async def test_any_character_of_a_path_can_be_escaped(proxy, code):
    """It reaches the server that the route leads to, escaped, and splits no line."""
    for target in (f"/user/x/echo/a%{code}b", f"/hub/a%{code}b"):
        answer = await ask(proxy.port, target)
        assert answer.startswith("HTTP/1.1 201 "), answer
        assert json.loads(answer.partition("\r\n\r\n")[2])["path"] == target


async def test_the_log_names_a_request_on_one_line_and_without_its_query(proxy, caplog):
    proxy.routes.remove("/")
    add(proxy, "/gone", "http://127.0.0.1:1")
    async with bare_server(b"no HTTP\r\nat all") as (url, _):
        add(proxy, "/bad", url)
        for path, status in (("/nowhere%0A2026-11-30%1B[31m", 404), ("/bad", 503), ("/gone", 503)):
            answer = await ask(proxy.port, f"{path}?token=s3cret")
            assert answer.startswith(f"HTTP/1.1 {status} ")
            lines = [record.getMessage() for record in caplog.records if path in record.getMessage()]
            assert len(lines) == 1, caplog.text
            assert lines[0].isprintable()
    assert "s3cret" not in caplog.text


async def test_errors_of_the_proxys_own_have_the_hubs_page(new, http, server):
    add(new, "/gone", "http://127.0.0.1:1")
    add(new, "/hub", server.url, hub=True)
    for path, status in (("/nowhere?x=1", 404), ("/gone/a b", 503)):
        async with http.get(path) as response:
            assert response.status == status
            asked = (await response.json())["path"]
            assert asked == f"/hub/error/{status}?url={path.partition('?')[0].replace(' ', '+')}"


async def test_who_comes_before_the_hubs_own_route_waits_for_it(new, http, server):
    """The hub tells a new proxy its routes within ten seconds, its own last; until then nobody is told that there is
    nothing, nor is sent to the hub."""
    page = asyncio.create_task(_status(http, "/user/x/nothing"))
    socket = asyncio.create_task(http.ws_connect("/user/x/sockets"))
    async with asyncio.timeout(60):
        while new.forwarder.waiting < 2:
            await asyncio.sleep(0.01)
        add(new, "/user/y", server.url)
        later = asyncio.create_task(_status(http, "/user/x/echo"))
        while new.forwarder.waiting < 3:
            await asyncio.sleep(0.01)
        add(new, "/user/x", server.url)
        add(new, "/hub", server.url, hub=True)
        assert await page == 204
        assert await later == 201
        async with await socket as opened:
            assert await opened.receive_str() == "welcome"


TARGETS = {
    "//127.0.0.1:{port}/secret": 201,
    "//user@127.0.0.1:{port}/secret": 201,
    "///127.0.0.1:{port}/secret": 201,
    "/\\127.0.0.1:{port}/secret": 201,
    "/%2f%2f127.0.0.1:{port}/secret": 201,
    "/user/x/echo/..//127.0.0.1:{port}/secret": 201,
    "/user/x/echo@127.0.0.1:{port}/secret": 201,
    "/user/x/echo#@127.0.0.1:{port}/secret": 201,
    "/?next=//127.0.0.1:{port}/secret": 201,
    "http://127.0.0.1:{port}/secret": 400,
    "http://user@127.0.0.1:{port}/secret": 400,
    "http:/127.0.0.1:{port}/secret": 400,
    "@127.0.0.1:{port}/secret": 400,
    "127.0.0.1:{port}/secret": 400,
    "*": 400,
}
"""How a request's target might name another server -> the answer."""


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


async def test_nothing_but_the_route_chooses_the_server(proxy, elsewhere):
    """The server that the route leads to is asked, with the path as it was spelled; or nobody is."""
    port, asked = elsewhere
    for form, status in TARGETS.items():
        target = form.format(port=port)
        answer = await ask(proxy.port, target)
        assert answer.split(" ")[1] == str(status), (target, answer)
        assert status != 201 or json.loads(answer.partition("\r\n\r\n")[2])["path"] == target
        await ask(proxy.port, target, *UPGRADE)
        assert asked == [], target
    for target in (f"127.0.0.1:{port}", "/user/x/echo"):
        assert (await ask(proxy.port, target, method="CONNECT")).startswith("HTTP/1.1 404 ")
    assert asked == []


async def test_only_the_door_is_answered(proxy):
    for headers in ((), ("Kf-Door-Token: guess",), ("Kf-Door-Token: door-secret", "Kf-Door-Token: guess")):
        for more in (("Connection: close",), UPGRADE):
            answer = await ask(proxy.port, "/user/x/echo", *headers, *more, door=False)
            assert answer.startswith("HTTP/1.1 403 ")
            assert "Only the door" in answer
    assert (await ask(proxy.port, "/_chp_healthz", door=False)).startswith("HTTP/1.1 200 ")


async def test_without_a_password_each_request_must_name_this_machine(new, server):
    """The hub says so with its own route. A page on the internet can point its own name at 127.0.0.1."""
    foreign = ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1@evil.example", "", "a b")
    add(new, "/", server.url, hub=True)
    assert (await ask(new.port, "/x", host=foreign[0])).startswith("HTTP/1.1 201 ")
    add(new, "/", server.url, hub=True, names=["host.example"])
    for host in foreign:
        for more in ((), UPGRADE):
            answer = await ask(new.port, "/x", *more, host=host)
            assert answer.startswith("HTTP/1.1 403 "), host
            assert "localhost and 127.0.0.1 only" in answer
    for host in ("localhost:8000", "127.0.0.1:8000", "[::1]:8000", "host.example", "LOCALHOST"):
        assert (await ask(new.port, "/x", host=host)).startswith("HTTP/1.1 201 "), host


async def test_where_users_have_domains_the_hub_answers_at_its_own_host_alone(new, server):
    """A page of a user's server could read the hub's pages at the user's domain: they would have its origin."""
    add(new, "/x.localhost/user/x", server.url, user="x")
    add(new, "/", server.url, hub=True, url="http://localhost:8000", names=[])
    for host, path in (("x.localhost:8000", "/user/x/echo"), ("X.LOCALHOST", "/user/x/echo"), ("localhost", "/hub")):
        answer = await ask(new.port, path, host=host)
        assert answer.startswith("HTTP/1.1 201 "), (host, answer)
    for host in ("x.localhost:8000", "y.localhost", "127.0.0.1"):
        answer = await ask(new.port, "/hub/token?a=%2F/&b", host=host)
        assert answer.startswith("HTTP/1.1 302 ")
        assert "\r\nLocation: http://localhost:8000/hub/token?a=%2F/&b\r\n" in answer
        script = "Sec-Fetch-Mode: cors", "Connection: close"
        for method, headers in (("GET", script), ("GET", UPGRADE), ("POST", ("Connection: close",))):
            answer = await ask(new.port, "/hub/token", *headers, method=method, host=host)
            assert answer.startswith("HTTP/1.1 424 ")
            assert "Open http://localhost:8000 to start a server" in answer
    for host in ("evil.example", "x.y.localhost", "x.localhost.evil.example", "", "a b"):
        for more in ((), UPGRADE):
            answer = await ask(new.port, "/user/x/echo", *more, host=host)
            assert answer.startswith("HTTP/1.1 403 "), host
            assert "at http://localhost:8000 and at the domains of its users only" in answer


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status
