"""The door as a program: a real API server with endpoints that are made by hand, the door's own account, Traefik."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import NAMESPACES, PODS, SERVICES
from kf_spawner.serving import build
from tests.fixtures.bare_hub import Process, until
from tests.fixtures.control_plane import ControlPlane, running
from tests.fixtures.ports import free_ports

MANIFESTS = Path(__file__).parents[2] / "kf_spawner" / "manifests"
OPTIONS = {"name": "digits", "claim": "claim", "image": "kf-spawner/model-server:0"}
TOKEN = {"KF_DOOR_TOKEN": "door-secret"}
MODEL, HUB = "the model", "the hub"


@pytest.fixture(scope="module")
def plane(control_plane_binaries: Any) -> Iterator[ControlPlane]:
    """Its own: a test kills the API server. The door's account has the rights of its manifest."""
    with running(control_plane_binaries) as made:
        for arguments in (
            ("apply", "-f", str(MANIFESTS / "rbac-door.yaml")),
            ("create", "clusterrolebinding", "door", "--clusterrole=kf-spawner-door", "--user=kf-spawner:door"),
        ):
            done = made.kubectl(*arguments)
            assert done.returncode == 0, done.stderr
        yield made


class Cluster:
    """A namespace with endpoints, and the node's hands: pods are as ready as a test says."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client, self.namespace = client, namespace

    async def add_endpoint(self) -> None:
        service = build(OPTIONS, namespace=self.namespace)[1]
        await self.client.create(SERVICES, service)

    async def add_pod(self, address: str) -> str:
        template = build(OPTIONS, namespace=self.namespace)[0]["spec"]["template"]
        spec = {**template["spec"], "volumes": [{"name": "model", "emptyDir": {}}]}
        meta = {"generateName": "digits-", "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}
        async with asyncio.timeout(90):
            while True:
                try:
                    made = await self.client.create(PODS, pod, self.namespace)
                    break
                except Forbidden:  # the namespace has no account yet
                    await asyncio.sleep(0.1)
        status = {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
        name = made["metadata"]["name"]
        await self.client.patch(PODS, name, {"status": status}, self.namespace, subresource="status")
        return name

    async def remove_pod(self, name: str) -> None:
        await self.client.delete(PODS, name, self.namespace, grace_period=0)


@pytest.fixture
async def cluster(plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with Client(load_config(plane.admin_kubeconfig), user_agent="test") as client:
        metadata = {"generateName": "kf-door-"}
        made = await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        yield Cluster(client, made["metadata"]["name"])


@contextlib.asynccontextmanager
async def listening(host: str, port: int, text: str) -> AsyncIterator[int]:
    """A server that answers every request with `text`; its port."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def model_server(stack: AsyncExitStack) -> str:
    """The address of 127/8 at which a new one listens."""
    for last in range(2, 250):
        address = f"127.77.5.{last}"
        with contextlib.suppress(OSError):  # somebody is there
            await stack.enter_async_context(listening(address, 8501, MODEL))
            return address
    raise AssertionError("no free loopback address")


class Door:
    def __init__(self, process: Process, port: int, ping: int, hub: AsyncExitStack) -> None:
        self.process, self.hub = process, hub
        self.url, self.ping = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{ping}/ping"

    async def get(self, path: str, token: str = "alice") -> str:
        """The answer's text; of a refusal its reason."""
        headers = {"Authorization": f"token {token}"}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(self.url + path) as answer:
            return answer.headers.get("Kf-Door") or await answer.text()

    async def until(self, path: str, text: str) -> None:
        async with asyncio.timeout(60):
            while await self.get(path) != text:
                await asyncio.sleep(0.05)

    async def until_refused(self) -> None:
        async with asyncio.timeout(60):
            with contextlib.suppress(aiohttp.ClientConnectionError):
                while True:
                    await self.get("/")
                    await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def a_door(plane: ControlPlane, folder: Path, *flags: str) -> AsyncIterator[Door]:
    """A door whose hub lets everybody through, until `door.hub` is closed."""
    port, ping = free_ports(2)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(listening("127.0.0.1", 0, HUB))
        argv = [
            *(sys.executable, "-m", "kf_spawner.door"),
            f"--kubeconfig={plane.kubeconfig('kf-spawner:door')}",
            f"--port={port}",
            f"--ping-port={ping}",
            f"--proxy-url=http://127.0.0.1:{hub}",
            f"--authorize-url=http://127.0.0.1:{hub}/hub/kf/authorize",
            f"--folder={folder}",
            *flags,
        ]
        async with Process(argv, log=folder / "door.log", cwd=folder, env=TOKEN) as process:
            yield Door(process, port, ping, stack)


async def test_routes_are_there_when_the_door_is_ready_and_follow_the_cluster(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    path = f"/serving/{cluster.namespace}/digits/v1"
    async with AsyncExitStack() as stack:
        await cluster.add_endpoint()
        pod = await cluster.add_pod(await model_server(stack))
        door = await stack.enter_async_context(a_door(plane, tmp_path))
        await until(door.ping)
        assert await door.get(path) == MODEL
        assert await door.get("/hub/home") == HUB
        await cluster.remove_pod(pod)
        await door.until(path, "EndpointNotReady")
        await cluster.add_pod(await model_server(stack))
        await door.until(path, MODEL)
        assert (tmp_path / "door.log").read_text() == ""


async def test_whoever_comes_while_the_door_starts_is_not_told_that_there_is_nothing(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    """Traefik answers 404 until it has a configuration."""
    path = f"/serving/{cluster.namespace}/digits/v1"
    seen = []

    async def come(door: Door) -> None:
        with contextlib.suppress(aiohttp.ClientConnectionError):
            seen.append(await door.get(path))

    async with AsyncExitStack() as stack:
        await cluster.add_endpoint()
        await cluster.add_pod(await model_server(stack))
        door = await stack.enter_async_context(a_door(plane, tmp_path))
        async with asyncio.timeout(60), asyncio.TaskGroup() as callers:
            while MODEL not in seen:
                callers.create_task(come(door))
                await asyncio.sleep(0.005)
        assert set(seen) == {MODEL}


async def test_a_port_that_is_taken_ends_the_door_in_one_line(plane: ControlPlane, tmp_path: Path) -> None:
    log = tmp_path / "door.log"
    async with listening("127.0.0.1", 0, HUB) as taken:
        argv = [sys.executable, "-m", "kf_spawner.door", f"--kubeconfig={plane.kubeconfig('kf-spawner:door')}"]
        async with Process([*argv, f"--port={taken}"], log=log, cwd=tmp_path, env=TOKEN) as process:
            assert await asyncio.wait_for(process.child.wait(), 60) == 1
    (line,) = log.read_text().splitlines()
    assert line.endswith(f"cannot listen on 127.0.0.1:{taken}: Address already in use")


async def test_without_the_hub_who_was_let_in_stays_and_nobody_else_comes(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    path = f"/serving/{cluster.namespace}/digits/v1"
    async with AsyncExitStack() as stack:
        await cluster.add_endpoint()
        await cluster.add_pod(await model_server(stack))
        door = await stack.enter_async_context(a_door(plane, tmp_path, "--DoorApp.keep_decisions=0"))
        await until(door.ping)
        assert await door.get(path) == MODEL
        await door.hub.aclose()
        for _ in range(3):
            assert await door.get(path) == MODEL
            assert await door.get(path, "bob") == "HubAway"
        async with aiohttp.ClientSession(headers={"Authorization": "token bob"}) as http:
            answer = await http.get(door.url + path)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
            assert "Try again" in (await answer.json())["error"]
        (line,) = (tmp_path / "door.log").read_text().splitlines()
        assert "The hub does not say who may use endpoints: " in line


async def test_no_secret_is_in_a_log_that_has_all(plane: ControlPlane, tmp_path: Path) -> None:
    """Neither the hub's proxy's, which Traefik has in its configuration, nor what Traefik shows for it."""
    async with a_door(plane, tmp_path, "--debug") as door:
        await until(door.ping)
        assert await door.get("/hub/home?token=a-users") == HUB
    log = (tmp_path / "door.log").read_text()
    assert "Traefik version" in log
    shown = json.loads((tmp_path / "static.yaml").read_text())["providers"]["http"]["headers"]["Authorization"]
    for secret in (TOKEN["KF_DOOR_TOKEN"], shown.removeprefix("Bearer "), "a-users"):
        assert secret not in log


async def test_the_door_ends_with_traefik_and_traefik_with_the_door(plane: ControlPlane, tmp_path: Path) -> None:
    async with a_door(plane, tmp_path) as door:
        await until(door.ping)
        door.process.child.terminate()
        assert await asyncio.wait_for(door.process.child.wait(), 60) == 0
        await door.until_refused()
    async with a_door(plane, tmp_path) as door:
        await until(door.ping)
        door.process.child.kill()
        await door.until_refused()
    async with a_door(plane, tmp_path) as door:
        await until(door.ping)
        (traefik,) = (
            Path(f"/proc/{door.process.child.pid}/task/{door.process.child.pid}/children").read_text().split()
        )
        os.kill(int(traefik), signal.SIGKILL)
        assert await asyncio.wait_for(door.process.child.wait(), 60) == 128 + signal.SIGKILL


async def test_without_the_api_server_routes_stay_and_the_hub_is_there(
    plane: ControlPlane, cluster: Cluster, tmp_path: Path
) -> None:
    path = f"/serving/{cluster.namespace}/digits/v1"
    (late := tmp_path / "late").mkdir()
    async with AsyncExitStack() as stack:
        await cluster.add_endpoint()
        await cluster.add_pod(await model_server(stack))
        door = await stack.enter_async_context(a_door(plane, tmp_path))
        await until(door.ping)
        plane.kill("kube-apiserver")
        other = await stack.enter_async_context(a_door(plane, late))
        await until(f"{other.url}/hub/home")
        await until(other.ping, 404)  # it has no endpoints: it is not ready
        assert await other.get(path) == "DoorStarting", "whether the endpoint exists is not known yet"
        for _ in range(20):
            assert await door.get(path) == MODEL
            await asyncio.sleep(0.1)
        await until(door.ping)
        await asyncio.to_thread(plane.start, ["kube-apiserver"])
        await until(other.ping)
        assert await other.get(path) == MODEL


async def test_a_kubeconfig_that_cannot_be_read_ends_the_door_in_one_line(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "kf_spawner.door", f"--kubeconfig={tmp_path / 'nowhere'}"]
    async with Process(argv, log=tmp_path / "door.log", cwd=tmp_path, env=TOKEN) as process:
        assert await asyncio.wait_for(process.child.wait(), 60) == 1
    (line,) = (tmp_path / "door.log").read_text().splitlines()
    assert str(tmp_path / "nowhere") in line
