"""One proxy and one server behind it, in this process, for all tests of the proxy."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from kf_spawner.hub.proxy.app import Proxy
from kf_spawner.hub.proxy.routes import read_route

DOOR = {"Kf-Door-Token": "door-secret"}
HUB = {"Authorization": "token api-secret"}


class Server:
    """What a user's server might do, below /user/x. Any other path is the hub's, which tells what it was asked."""

    def __init__(self) -> None:
        self.left = asyncio.Event()
        """Set when a caller of /stream has gone."""
        self.go_on = asyncio.Event()
        """Lets /stream and /slow go on."""
        self.asked: list[str] = []
        """The paths that the hub was asked for."""
        self.taken = 0
        """Bytes of bodies that /sink and /slow have read."""

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
        chunked = "chunked" in request.query
        response = web.StreamResponse(headers={} if chunked else {"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
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

    async def hub(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if "held" in request.query:
            await self.go_on.wait()
        return await self.echo(request)

    async def redirect(self, _request: web.Request) -> web.Response:
        raise web.HTTPFound("/user/x/elsewhere")

    async def nothing(self, _request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def many(self, request: web.Request) -> web.StreamResponse:
        """As many bytes as the query says, as fast as the caller takes them."""
        size, piece = int(request.query["size"]), bytes(2**18)
        response = web.StreamResponse(headers={"Content-Length": str(size)})
        await response.prepare(request)
        for _ in range(size // len(piece)):
            await response.write(piece)
            self.taken += len(piece)
        return response

    async def sink(self, request: web.Request) -> web.Response:
        async for piece in request.content.iter_any():
            self.taken += len(piece)
        return web.Response(text=str(self.taken))

    async def slow(self, request: web.Request) -> web.Response:
        """Reads nothing until it may go on."""
        await self.go_on.wait()
        return await self.sink(request)

    async def refuse(self, _request: web.Request) -> web.Response:
        """Answers before it has read the body."""
        raise web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2, text="too large")

    async def sockets(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0, protocols=["v2.example", "v1.example"])
        await socket.prepare(request)
        await socket.send_str("welcome")  # it may come with the answer to the handshake
        async for message in socket:
            if message.data == "close":
                break
            if message.type == aiohttp.WSMsgType.BINARY:
                await socket.send_bytes(message.data)
            else:
                await socket.send_str(message.data)
        return socket


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    behind = Server()
    app = web.Application(client_max_size=2**30)
    names = ("stream", "broken", "redirect", "nothing", "many", "sink", "slow", "refuse", "sockets")
    for name in names:
        app.router.add_route("*", f"/user/x/{name}", getattr(behind, name))
    app.router.add_route("*", "/user/x/echo{rest:(?s:.*)}", behind.echo)
    app.router.add_route("*", "/{rest:(?s:(?!user/).*)}", behind.hub)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    behind.port = runner.addresses[0][1]
    behind.url = f"http://127.0.0.1:{behind.port}"
    yield behind
    await runner.cleanup()


@pytest.fixture
async def new(server) -> AsyncIterator[Proxy]:
    """A proxy that nobody has told a route yet."""
    anywhere = ("127.0.0.1", 0)
    error_url = f"{server.url}/hub/error"
    async with Proxy(
        where=anywhere, api=anywhere, api_token="api-secret", door_token="door-secret", error_url=error_url
    ) as proxy:
        yield proxy


@pytest.fixture
async def proxy(new, server) -> Proxy:
    add(new, "/user/x", server.url, user="x")
    add(new, "/", server.url, hub=True)
    return new


@pytest.fixture
async def http(new) -> AsyncIterator[aiohttp.ClientSession]:
    """The door."""
    async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{new.port}", headers=DOOR) as session:
        yield session


def add(proxy: Proxy, path: str, target: str, **data: object) -> None:
    proxy.routes.add(path, read_route({"target": target, **data}))
