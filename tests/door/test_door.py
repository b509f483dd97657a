"""The one door as it runs: a real Traefik, a real hub that it asks, the hub's real proxy, and real backends."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web

from kf_spawner.door.dynamic import Targets, dynamic
from kf_spawner.door.provider import Provider
from kf_spawner.door.static import ENVIRONMENT, Grace, argv, static
from kf_spawner.serving import backends, build
from tests.fixtures.bare_hub import BIN, BareHub, Process, until
from tests.fixtures.ports import free_ports

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


AT = web.AppKey("at", str)
"""The address that a backend listens on."""


class World:
    """The endpoints that the door leads to."""

    def __init__(self) -> None:
        self.services: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []

    def configuration(self, targets: Targets) -> dict[str, Any]:
        return dynamic(targets, backends(self.services, self.pods))


async def echo(request: web.Request) -> web.StreamResponse:
    """A model server that tells what reached it; it speaks WebSocket, and claims to be the door."""
    if request.headers.get("Upgrade"):
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        async for message in socket_:
            await socket_.send_str(message.data)
        return socket_
    body = await request.text()
    seen = {"at": request.app[AT], "method": request.method, "path": request.raw_path, "body": body}
    status = int(request.query.get("answer", 200))
    return web.json_response(
        {**seen, "headers": dict(request.headers)}, status=status, headers={"kf-door": "NotFound", "X-Kept": "yes"}
    )


async def serve(stack: AsyncExitStack, handler: Any, host: str, port: int) -> int:
    app = web.Application(client_max_size=2**24)
    app[AT] = host
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, host, port)
    await site.start()
    return runner.addresses[0][1]


async def serve_as_a_pod(stack: AsyncExitStack) -> str:
    """The address of 127/8 at which a new echo listens, on the model server's port."""
    for last in range(2, 250):
        address = f"127.77.3.{last}"
        with contextlib.suppress(OSError):  # somebody is there
            await serve(stack, echo, address, 8501)
            return address
    raise AssertionError("no free loopback address")


class Door:
    def __init__(self, hub: BareHub, world: World, url: str, port: int, process: Process) -> None:
        self.hub, self.world, self.url, self.port, self.process = hub, world, url, port, process

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
async def running(
    folder: Path, world: World, targets: Targets, **settings: Any
) -> AsyncIterator[tuple[Process, int, int]]:
    """Traefik with routes to `targets` and the endpoints of `world`; its process, its port and that of its ping."""
    port, ping = free_ports(2)
    async with Provider(lambda: world.configuration(targets)) as provider:
        where = {"host": "127.0.0.1", "port": port, "ping_host": "127.0.0.1", "ping_port": ping}
        file = folder / "static.yaml"
        file.write_text(json.dumps(static(**where, dynamic_url=provider.url, **settings)))
        command = argv(str(BIN / "traefik"), str(file))
        async with Process(command, log=folder / "traefik.log", cwd=folder, env=dict(ENVIRONMENT)) as process:
            await until(f"http://127.0.0.1:{ping}/ping")
            yield process, port, ping


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(BareHub(folder))
        world = World()
        alice, bob = await serve_as_a_pod(stack), await serve_as_a_pod(stack)
        world.services = [
            endpoint_service("kf-alice", "digits"),
            endpoint_service("kf-bob", "digits"),
            endpoint_service("kf-alice", "loading"),
        ]
        world.pods = [
            ready_pod("kf-alice", "digits", alice),
            ready_pod("kf-bob", "digits", bob),
            ready_pod("kf-alice", "loading", "127.77.4.1", ready=False),
        ]
        targets = Targets(hub.proxy_url, hub.authorize_url)
        process, port, _ = await stack.enter_async_context(running(folder, world, targets))
        url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as http, http.get(f"{url}/hub/health") as answer:
            assert answer.status == 200, "a door that answers its ping knows the way to the hub"
        token = await hub.token("alice")
        await until(f"{url}/serving/kf-alice/digits/v1", headers={"Authorization": f"token {token}"})
        yield Door(hub, world, url, port, process)
        assert process.log.read_text() == "", "Traefik has something to complain about"


PREDICT = "/serving/kf-alice/digits/v1/models/digits:predict"


async def test_owner_other_and_nobody(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    status, text = await opened.request("POST", PREDICT, alice, json={"instances": [1]})
    assert status == 200
    seen = json.loads(text)
    assert (seen["method"], seen["path"]) == ("POST", "/v1/models/digits:predict")
    assert json.loads(seen["body"]) == {"instances": [1]}
    assert (await opened.request("POST", PREDICT, bob, json={}))[0] == 403
    status, text = await opened.request("POST", PREDICT, json={})
    assert status == 401
    assert json.loads(text)["reason"] == "Unauthorized"


async def test_the_model_server_never_sees_the_callers_token_or_cookies(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    headers = {"Cookie": "jupyterhub-session-id=secret", "X-Keep": "this"}
    _, text = await opened.request("GET", PREDICT, alice, headers=headers)
    seen = {name.lower(): value for name, value in json.loads(text)["headers"].items()}
    assert seen["x-keep"] == "this"
    assert "authorization" not in seen
    assert "cookie" not in seen
    assert alice not in text


async def test_an_endpoint_with_no_ready_pod_says_so_to_its_owner_only(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    path = "/serving/kf-alice/loading/v1/models/loading"
    status, text = await opened.request("GET", path, alice)
    assert (status, json.loads(text)["reason"]) == (503, "EndpointNotReady")
    assert (await opened.request("GET", path, bob))[0] == 403
    assert (await opened.request("GET", path))[0] == 401


async def test_only_the_doors_own_answers_say_that_they_are(opened: Door) -> None:
    """The model server of these tests sends the door's header with every answer, with an error's, too."""
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    unready, missing = "/serving/kf-alice/loading/v1", "/serving/kf-alice/nothing/v1"

    async def ask(path: str, token: str | None) -> tuple[int, str | None, str | None]:
        headers = {"Authorization": f"token {token}"} if token else {}
        async with aiohttp.ClientSession() as http, http.get(opened.url + path, headers=headers) as answer:
            return answer.status, answer.headers.get("Kf-Door"), answer.headers.get("X-Kept")

    assert await ask(PREDICT, None) == (401, "Unauthorized", None)
    assert await ask(PREDICT, bob) == (403, "Forbidden", None)
    assert await ask(missing, alice) == (404, "NotFound", None)
    assert await ask(unready, alice) == (503, "EndpointNotReady", None)
    for status in (200, 401, 403, 404, 503):
        assert await ask(f"{PREDICT}?answer={status}", alice) == (status, None, "yes")


async def test_an_unknown_endpoint_looks_like_a_foreign_one_to_others(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    path = "/serving/kf-alice/nothing/v1/models/nothing"
    status, text = await opened.request("GET", path, alice)
    assert (status, json.loads(text)["reason"]) == (404, "NotFound")
    assert await opened.request("GET", path, bob) == await opened.request("GET", PREDICT, bob)
    assert (await opened.request("GET", path))[0] == 401
    for path in ("/serving", "/serving/", "/serving/kf-alice"):
        assert (await opened.request("GET", path))[0] == 401


async def test_what_a_caller_says_of_forwarding_changes_nothing(opened: Door) -> None:
    bob = await opened.hub.token("bob")
    own = "/serving/kf-bob/digits/v1"
    for headers in (
        {"X-Forwarded-Uri": own},
        {"X-Forwarded-Uri": own, "X-Forwarded-Prefix": "/serving/kf-bob/digits"},
        {"X-Original-URI": own, "X-Rewrite-URL": own, "X-Forwarded-Method": "GET"},
        {"Connection": "X-Forwarded-Uri, Authorization"},
    ):
        status, _ = await opened.request("GET", PREDICT, bob, headers=headers)
        assert status in (401, 403), headers


TRICKS = [
    "/serving/kf-bob/../kf-alice/digits/v1",
    "/serving/kf-bob/digits/../../kf-alice/digits/v1",
    "/serving/kf-bob/%2e%2e/kf-alice/digits/v1",
    "/serving/kf-bob/digits/%2e%2e/%2e%2e/kf-alice/digits/v1",
    "/serving/kf-bob/digits/%2e%2e%2f%2e%2e%2fkf-alice/digits/v1",
    "/serving/kf-bob/digits%2f..%2f..%2fkf-alice/digits/v1",
    "/serving/kf-bob/..;/kf-alice/digits/v1",
    "/serving/kf-bob/digits/..%5c..%5ckf-alice/digits/v1",
    "/serving//kf-alice/digits/v1",
    "//serving/kf-alice/digits/v1",
    "/serving/./kf-alice/digits/v1",
    "/serving/kf-bob/%252e%252e/kf-alice/digits/v1",
    "/serving%2fkf-alice%2fdigits/v1",
    "/%73erving/kf-alice/digits/v1",
    "/serving/kf-%61lice/digits/v1",
    "/Serving/kf-alice/digits/v1",
    "/user/bob/../../serving/kf-alice/digits/v1",
    "http://127.0.0.1/serving/kf-alice/digits/v1",
    "/serving/kf-bob/digits/v1?/../../kf-alice/digits",
    "/serving/kf-bob/digits/v1#/../../../kf-alice/digits",
]


@pytest.mark.parametrize("target", TRICKS)
async def test_no_spelling_of_a_path_crosses_from_one_tenant_to_another(opened: Door, target: str) -> None:
    alice_at = opened.world.pods[0]["status"]["podIP"]
    bob_at = opened.world.pods[1]["status"]["podIP"]
    status, answer = await opened.raw(target, await opened.hub.token("bob"))
    assert f'"at": "{alice_at}"' not in answer, "bob's token reached alice's model"
    if status == 200:
        assert f'"at": "{bob_at}"' in answer or "/hub/" in answer
    nobody = await opened.raw(target, "made-up")
    assert '"at": "127' not in nobody[1], "no token reached a model"


async def test_a_token_in_the_query_is_not_a_token(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    assert (await opened.request("GET", f"{PREDICT}?token={alice}"))[0] == 401


async def test_websockets_pass_with_the_same_question(opened: Door) -> None:
    url = f"ws://127.0.0.1:{opened.port}/serving/kf-alice/digits/stream"
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    headers = {"Authorization": f"token {alice}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(url) as stream:
        await stream.send_str("hello")
        assert (await stream.receive(timeout=60)).data == "hello"
    async with aiohttp.ClientSession(headers={"Authorization": f"token {bob}"}) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url)
        assert refused.value.status == 403


async def test_all_else_is_the_hubs(opened: Door) -> None:
    status, text = await opened.request("GET", "/hub/login")
    assert status == 200
    assert "JupyterHub" in text
    assert (await opened.request("GET", "/"))[0] == 302


async def test_large_bodies_pass_both_ways(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    body = "x" * 5_000_000
    status, text = await opened.request("POST", PREDICT, alice, data=body)
    assert status == 200
    assert json.loads(text)["body"] == body


async def test_endpoints_come_and_go_while_the_door_serves(opened: Door) -> None:
    carol = await opened.hub.token("carol")
    headers = {"Authorization": f"token {carol}"}
    path = f"{opened.url}/serving/kf-carol/late/v1"
    await until(path, 404, headers=headers)
    opened.world.services.append(endpoint_service("kf-carol", "late"))
    await until(path, 503, headers=headers)
    opened.world.pods.append(ready_pod("kf-carol", "late", opened.world.pods[0]["status"]["podIP"]))
    await until(path, 200, headers=headers)
    opened.world.services.pop()
    opened.world.pods.pop()
    await until(path, 404, headers=headers)


async def test_no_endpoints_at_all_is_a_configuration_that_traefik_takes(opened: Door) -> None:
    kept = opened.world.services
    alice = {"Authorization": f"token {await opened.hub.token('alice')}"}
    opened.world.services = []
    await until(opened.url + PREDICT, 404, headers=alice)
    opened.world.services = kept
    await until(opened.url + PREDICT, 200, headers=alice)


async def test_nothing_of_traefiks_own_is_open_at_the_door(opened: Door) -> None:
    for path in ("/api/rawdata", "/dashboard/", "/ping", "/metrics", "/debug/pprof/"):
        status, text = await opened.request("GET", path)
        assert status in (302, 404), path
        assert "routers" not in text


@contextlib.asynccontextmanager
async def door_alone(folder: Path, **settings: Any) -> AsyncIterator[tuple[Process, int, int, int]]:
    """Its process, its port, that of its ping, and that at which the hub's proxy would be."""
    (proxy,) = free_ports(1)
    address = f"http://127.0.0.1:{proxy}"
    targets = Targets(address, f"{address}/hub/kf/authorize")
    async with running(folder, World(), targets, **settings) as (process, port, ping):
        yield process, port, ping, proxy


async def test_who_comes_while_the_hubs_proxy_is_replaced_waits_for_the_next(tmp_path) -> None:
    """A request that cannot be repeated, too: nothing of it was sent before."""
    async with AsyncExitStack() as stack:
        _, port, _, proxy = await stack.enter_async_context(door_alone(tmp_path, log_level="DEBUG"))
        log = tmp_path / "traefik.log"
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        page = asyncio.create_task(_body(http, "POST", "/hub/login", b"x" * 100_000))
        socket_ = asyncio.create_task(http.ws_connect("/user/alice/api/kernels/1/channels"))
        for path in ("/hub/login", "/user/alice/api/kernels/1/channels"):
            async with asyncio.timeout(60):
                while f"New attempt 2 for request: {path}" not in log.read_text():
                    await asyncio.sleep(0.05)
        await serve(stack, echo, "127.0.0.1", proxy)
        async with asyncio.timeout(60):
            assert len((await page)["body"]) == 100_000
            async with await socket_ as opened_:
                await opened_.send_str("hello")
                assert await opened_.receive_str() == "hello"


async def test_a_door_that_is_asked_to_end_is_open_until_nothing_leads_there(tmp_path) -> None:
    """Its ping says that it is about to go, and whoever was led there all the same has an answer."""
    async with AsyncExitStack() as stack:
        process, port, ping, proxy = await stack.enter_async_context(
            door_alone(tmp_path, grace=Grace(accept=10, answer=0))
        )
        await serve(stack, echo, "127.0.0.1", proxy)
        process.child.terminate()
        await until(f"http://127.0.0.1:{ping}/ping", 503, timeout=10)
        async with aiohttp.ClientSession() as late:
            assert (await _body(late, "GET", f"http://127.0.0.1:{port}/hub/home", b""))["path"] == "/hub/home"
        process.child.kill()


async def test_a_door_that_ends_lets_whoever_is_connected_finish(tmp_path) -> None:
    """And goes when nobody is, long before it must."""
    async with AsyncExitStack() as stack:
        process, port, _, proxy = await stack.enter_async_context(
            door_alone(tmp_path, grace=Grace(accept=0, answer=600))
        )
        await serve(stack, echo, "127.0.0.1", proxy)
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"http://127.0.0.1:{port}/user/alice/api/kernels/1/channels") as notebook,
        ):
            process.child.terminate()
            await _refused(port)
            await notebook.send_str("still there")
            assert await notebook.receive_str(timeout=60) == "still there"
        assert await asyncio.wait_for(process.child.wait(), 60) == 0


async def _refused(port: int) -> None:
    """Until nobody takes a connection."""
    with contextlib.suppress(ConnectionError):  # refused, or broken off in the queue
        while True:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            await asyncio.sleep(0.05)


async def _body(http: aiohttp.ClientSession, method: str, path: str, data: bytes) -> dict[str, Any]:
    async with http.request(method, path, data=data) as answer:
        return await answer.json(content_type=None)
