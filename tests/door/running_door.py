"""A door in front of a hub, model servers and pods that tests make."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from kf_spawner.door.authorizer import Authorizer
from kf_spawner.door.decisions import Answer, Decisions
from kf_spawner.door.dynamic import Targets, dynamic
from kf_spawner.door.hub import Hub
from kf_spawner.serving import backends, build
from tests.fixtures.bare_hub import DOOR_TOKEN, BareHub, Process
from tests.fixtures.door import RunningDoor, running_door
from tests.fixtures.ports import free_ports


def endpoint_service(namespace: str, name: str) -> dict[str, Any]:
    options = {"name": name, "claim": "claim", "image": "kf-spawner/model-server:0"}
    return build(options, namespace=namespace)[1]


def ready_pod(namespace: str, name: str, address: str, *, ready: bool = True) -> dict[str, Any]:
    options = {"name": name, "claim": "claim", "image": "kf-spawner/model-server:0"}
    template = build(options, namespace=namespace)[0]["spec"]["template"]
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {
        "metadata": {"name": f"{name}-0", "namespace": namespace, "labels": template["metadata"]["labels"]},
        "status": {"podIP": address, "conditions": [condition]},
    }


HUB_DOMAIN = "hub.example.com"
"""Users have domains below it; the door's tests call it by its address."""

AT = web.AppKey("at", str)
"""The address that a backend listens on."""

RECEIVED = web.AppKey("received", list[str])
"""The body of each request that the backend got."""


class Endpoints:
    """The services and pods of the endpoints behind the door."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []

    def configuration(self, targets: Targets) -> dict[str, Any]:
        return dynamic(targets, backends(self.services, self.pods), hub_domain=HUB_DOMAIN)


async def echo(request: web.Request) -> web.StreamResponse:
    """A model server that tells what reached it; it speaks WebSocket, and claims to be the door."""
    if request.headers.get("Upgrade"):
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        async for message in socket_:
            await socket_.send_str(message.data)
        return socket_
    body = await request.text()
    request.app[RECEIVED].append(body)
    if "drop" in request.query:
        request.transport.abort()
    seen = {"at": request.app[AT], "method": request.method, "path": request.raw_path, "body": body}
    status = int(request.query.get("answer", 200))
    return web.json_response(
        {**seen, "headers": dict(request.headers)}, status=status, headers={"kf-door": "NotFound", "X-Kept": "yes"}
    )


async def serve(stack: AsyncExitStack, handler: Any, host: str, port: int, received: list[str] | None = None) -> int:
    app = web.Application(client_max_size=2**24)
    app[AT] = host
    app[RECEIVED] = [] if received is None else received
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner.addresses[0][1]


async def serve_as_a_pod(stack: AsyncExitStack, received: list[str] | None = None) -> str:
    """The address of 127/8 at which a new echo listens, on the model server's port."""
    for last in range(2, 250):
        address = f"127.77.3.{last}"
        with contextlib.suppress(OSError):  # somebody is there
            await serve(stack, echo, address, 8501, received)
            return address
    raise AssertionError("no free loopback address")


class Asked:
    """An authorizer, the namespace and name of each question that the hub gets from it, and its clock, which goes on
    when a test says so."""

    def __init__(self, hub: Hub) -> None:
        self._hub, self.url, self.time = hub, "", 1000.0
        self.questions: list[str] = []

    async def ask(self, authorization: str, namespace: str, name: str) -> Answer:
        self.questions.append(f"{namespace}/{name}")
        return await self._hub.ask(authorization, namespace, name)


@contextlib.asynccontextmanager
async def authorizer(hub_url: str) -> AsyncIterator[Asked]:
    """The authorizer of a door whose hub is at this URL, with the settings' defaults."""
    async with Hub(hub_url) as hub:
        asked = Asked(hub)
        async with (
            Decisions(asked.ask, keep=30, without_hub=600, clock=lambda: asked.time) as decisions,
            Authorizer(decisions) as made,
        ):
            asked.url = made.url
            yield asked


class Door:
    def __init__(
        self, hub: BareHub, asked: Asked, endpoints: Endpoints, url: str, port: int, process: Process
    ) -> None:
        self.hub, self.asked, self.endpoints, self.url, self.port = hub, asked, endpoints, url, port
        self.process = process

    async def request(self, method: str, path: str, token: str | None = None, **kwargs: Any) -> Any:
        headers = dict(kwargs.pop("headers", {}))
        if token:
            headers["Authorization"] = f"token {token}"
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, self.url + path, headers=headers, allow_redirects=False, **kwargs) as answer,
        ):
            return answer.status, await answer.text()

    async def raw(self, target: str, token: str, *extra: str) -> tuple[int, str]:
        """A request line as written, which no client library would send. Returns status and the whole answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"GET {target} HTTP/1.1", f"Host: 127.0.0.1:{self.port}", f"Authorization: token {token}", *extra]
        writer.write(("\r\n".join([*lines, "Connection: close", "", ""])).encode())
        answer = (await asyncio.wait_for(reader.read(), 60)).decode(errors="replace")
        writer.close()
        return int(answer.split(" ", 2)[1]), answer


@contextlib.asynccontextmanager
async def door_alone(folder: Path, **settings: Any) -> AsyncIterator[tuple[RunningDoor, int]]:
    """A door, and the port at which the hub's proxy would be."""
    (proxy,) = free_ports(1)
    address = f"http://127.0.0.1:{proxy}"
    targets = Targets(address, "http://127.0.0.1:1", DOOR_TOKEN)
    async with running_door(folder, lambda: dynamic(targets, []), **settings) as door:
        yield door, proxy
