"""Parts are killed, a node is drained or lost, a disk full: jobs end right, homes are intact, and somebody says so.

Only on the cluster of `make cluster`, whose machines can be killed; see `scene.py` for what goes on meanwhile.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import LEASES, NODES, PODS
from tests.cluster import outside
from tests.cluster.layout import ROOT, Layout, Node
from tests.e2e.client import CellFailed

from . import faults
from .platform import NAMESPACE, Platform, installed
from .scene import PATIENCE, USERS, Scene, patiently

LEASE = "kf-spawner-operator"
ONCE = {"chief-0": 1, "worker-0": 1, "worker-1": 1}
TWICE = {"chief-0": 2, "worker-0": 2, "worker-1": 2}
SOON = [
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
]
"""Kubernetes' default is 300 s from the moment at which a node counts as lost."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def layout(kubeconfig: Path) -> Layout:
    found = Layout(kubeconfig.resolve().parent)
    if outside.machine(found) is None:
        pytest.skip("faults are made on the cluster of `make cluster` alone")
    return found


@pytest.fixture(scope="module")
def archive() -> Path:
    """The smallest image that notebooks run in."""
    found = list((ROOT / ".images").glob("tensorflow-*-notebook-cpu.tar"))
    assert found, "a further node needs an image's archive: run 'make images'"
    return min(found, key=lambda path: path.stat().st_size)


@pytest.fixture(scope="module")
def platform(layout, helm_program, kubeconfig, kubectl, tmp_path_factory) -> Iterator[Platform]:
    with installed(helm_program, kubeconfig, kubectl, tmp_path_factory.mktemp("faults")) as platform:
        platform.until_up()
        yield platform


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(platform, kubeconfig, archive) -> AsyncIterator[Scene]:
    async with (
        Client(load_config(kubeconfig), user_agent="test") as client,
        Scene(platform, client, archive.stem).opened() as world,
    ):
        yield world


@pytest_asyncio.fixture(loop_scope="module")
async def scene(world) -> Scene:
    """With a server that runs, whatever a test before has left."""
    _, user = await world.user.api("GET", "/user")
    if not user["servers"]:
        await world.spawn()
    return world


@pytest.fixture
def second(layout, archive, platform, kubectl) -> Iterator[Node]:
    """A node that can be lost; the first one takes new pods again in the end."""
    with faults.further_node(layout, 2, [archive]) as node:
        platform.kubectl("wait", "--for=condition=Ready", f"node/{node.name}", "--timeout=50s")
        yield node
        platform.kubectl("uncordon", layout.node(1).name)
    platform.kubectl("delete", "node", node.name, "--ignore-not-found")


@pytest.mark.parametrize("program", ["kubelet", "containerd", "kube-apiserver"])
async def test_a_part_of_the_cluster_is_killed(scene, layout, program):
    job = await scene.job(f"without-{program}").start()
    before, moment = faults.processes(layout, program), datetime.now(UTC)
    written = layout.machine_log.stat().st_size
    faults.kill(before)
    async with asyncio.timeout(PATIENCE):
        while len([pid for pid in faults.processes(layout, program) if pid not in before]) < len(before):
            await asyncio.sleep(0.1)
    await until_node(scene, layout.node(1), "Ready", "True")
    await scene.until_all_is_well()
    await job.end()
    assert job.started() == ONCE
    assert f"{program} was killed by SIGKILL" in layout.machine_log.read_bytes()[written:].decode()
    if program == "kube-apiserver":
        await scene.logged("operator", "watching tfjobs: the API server", since=moment)


@pytest.mark.parametrize("part", ["hub", "operator"])
async def test_a_part_of_the_platform_is_killed(scene, part):
    """Of the operators the one that leads: the other takes over, or its own next process."""
    job = await scene.job(f"without-{part}").start()
    pods = await scene.part(part)
    lease = await scene.client.get(LEASES, LEASE, NAMESPACE)
    leader = lease["spec"]["holderIdentity"]
    pod = next(pod for pod in pods if part != "operator" or pod["metadata"]["name"] in leader)
    (before,) = pod["status"]["containerStatuses"]
    faults.kill(faults.container_processes(before)[:1])
    await patiently(lambda: scene.client.get(PODS, pod["metadata"]["name"], NAMESPACE), is_restarted(before))
    await scene.until_all_is_well()
    if part == "operator":
        await patiently(
            lambda: scene.client.get(LEASES, LEASE, NAMESPACE),
            lambda found: found["spec"].get("leaseTransitions", 0) > lease["spec"].get("leaseTransitions", 0),
        )
    await job.end()
    assert job.started() == ONCE


async def test_a_replica_that_is_killed_is_started_again(scene):
    job = await scene.job("again").start()
    faults.kill(faults.container_processes(await job.running("worker-1"))[:1])
    assert "worker-1 exited with code 137" in await job.told("ExitedWithCode")
    assert "Worker replica(s) failed" in await job.told("TFJobRestarting")
    await job.until_started(4)
    await scene.until_all_is_well()
    await job.end()
    assert job.started() == {**ONCE, "worker-1": 2}


async def test_without_a_restart_policy_the_job_fails_and_says_so(scene):
    job = await scene.job("never").start(restart="Never")
    faults.kill(faults.container_processes(await job.running("worker-1"))[:1])
    failed = await job.until("Failed")
    assert failed["message"] == f"TFJob {USERS}/never has failed because 1 Worker replica(s) failed."
    assert f"{USERS}.never-worker-1 exited with code 137" in await job.told("ExitedWithCode")
    assert job.started() == ONCE


async def test_a_drained_node(scene, layout, second, platform):
    """Job and server go on on the other node, the server when its user starts it there."""
    await move_to(scene, layout, second)
    job = await scene.job("drained").start()
    assert {node for _, node in job.starts()} == {second.name}
    platform.kubectl("uncordon", layout.node(1).name)
    moment = datetime.now(UTC)
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=55s")
    await asyncio.to_thread(platform.kubectl, "drain", second.name, *options)
    await job.until_started(6)
    told = await scene.form("its node was drained, for example for maintenance")
    assert "the files on your home volume are still there" in told
    await scene.logged("hub", "The server was ended: its node was drained", since=moment)
    await scene.spawn()
    await scene.until_all_is_well()
    await job.end()
    assert job.started() == TWICE
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_a_lost_node(scene, layout, second, platform):
    """Its replicas are made anew as soon as Kubernetes gives them up, the server when the Node object is gone."""
    await move_to(scene, layout, second)
    job = await scene.job("lost").start(tolerations=SOON)
    assert {node for _, node in job.starts()} == {second.name}
    platform.kubectl("uncordon", layout.node(1).name)
    faults.lose(layout, second)
    await job.until_started(6)
    assert await job.told("TFJobNodeLost") in {
        f"Pod lost-{name} is lost with its node {second.name}" for name in ONCE
    }
    platform.kubectl("delete", "node", second.name)
    assert "the files on your home volume are still there" in await scene.form("its node was lost")
    await scene.spawn()
    await scene.until_all_is_well()
    await job.end()
    assert job.started() == TWICE
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_a_full_disk(scene, layout, second, platform):
    """The node ends server and job; while no other takes them they wait and say why, and then go on there."""
    await move_to(scene, layout, second)
    job = await scene.job("full").start()
    faults.fill(layout, second)
    await until_node(scene, second, "DiskPressure", "True")
    assert "Kubernetes says: Evicted: The node was low on resource" in await job.told("TFJobPodDisrupted")
    await job.created("cannot be scheduled")
    assert "low on resource" in await scene.form("its node ran out of disk space")
    spawning = asyncio.create_task(scene.spawn())
    try:
        await scene.progress(f"No node takes this server: {second.name} has run out of disk space.")
        platform.kubectl("uncordon", layout.node(1).name)
        await spawning
    finally:
        spawning.cancel()
    await scene.until_all_is_well()
    await job.until_started(4)
    await job.end()
    # The node needs not end all: the image of a server that is gone may be room enough.
    assert ONCE.keys() == job.started().keys()
    assert set(job.started().values()) <= {1, 2}
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_accounts_that_are_made_anew(scene, platform):
    """What has their tokens is refused, says so, and works again with the next token; servers and jobs go on."""
    job = await scene.job("refused").start()
    moment = datetime.now(UTC)
    for part in ("operator", "hub"):
        await scene.renew_account(part, NAMESPACE)
    for pod in await scene.part("operator"):
        assert "does not accept the token in /var/run/secrets" in await readiness(pod)
    await scene.logged("operator", "token: it has expired, or its account was deleted", since=moment)
    await scene.refused_start("Kubernetes does not accept the hub's own account. Ask an administrator")
    await scene.until_all_is_well()
    await asyncio.to_thread(platform.kubectl, "rollout", "restart", "deployment/operator", "deployment/hub")
    await asyncio.to_thread(platform.until_up)
    await scene.until_all_is_well()
    await job.end()
    assert job.started() == ONCE


async def test_a_servers_account_that_is_made_anew(scene):
    """A cell says what to do, and that helps."""
    await scene.renew_account("notebook", USERS)
    cell = "import kf_spawner.notebook as kf\nkf.list_tfjobs()"
    async with scene.user.kernel() as kernel, asyncio.timeout(PATIENCE):
        while True:
            try:
                await kernel.run(cell)
            except CellFailed as error:
                assert "does not accept this server's account: restart the server" in str(error)  # noqa: PT017
                break
            await asyncio.sleep(0.2)
    await scene.user.stop_server()
    await scene.spawn()
    async with scene.user.kernel() as kernel:
        await kernel.run(cell)
    await scene.until_all_is_well()


async def test_a_token_of_the_user_that_expires(scene):
    """In a cell that calls an endpoint with it."""
    token = await scene.expired_token()
    async with scene.user.kernel() as kernel:
        shown = await kernel.run(f"""
import json, os, urllib.request, urllib.error
url = os.environ["KF_SERVING_CONNECT_URL"] + "/{USERS}/digits/v1/models/digits:predict"
request = urllib.request.Request(url, data=b"{{}}", headers={{"Authorization": "token {token}"}})
try:
    print(urllib.request.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code, json.loads(error.read().decode())["message"])
""")
    assert shown.startswith("401 The hub does not accept this token: it has expired or was revoked.")


async def readiness(pod: dict) -> str:
    """What the operator says at /readyz once that is a refusal."""
    url = f"http://{pod['status']['podIP']}:8085/readyz"
    async with aiohttp.ClientSession() as http, asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as answer:
                    text = await answer.text()
                    if answer.status == 503 and "accept" in text:
                        return text
            await asyncio.sleep(0.2)


async def until_node(scene: Scene, node: Node, condition: str, value: str) -> None:
    await patiently(
        lambda: scene.client.get(NODES, node.name),
        lambda found: (condition, value) in {(c["type"], c["status"]) for c in found["status"]["conditions"]},
    )


def is_restarted(before: dict) -> Callable[[dict], bool]:
    """Whether the container of a part is another one by now, ready, and says how the one before ended."""

    def good(pod: dict) -> bool:
        (now,) = pod["status"]["containerStatuses"]
        ended = now["lastState"].get("terminated", {})
        return bool(now["ready"]) and (ended.get("containerID"), ended.get("exitCode")) == (
            before["containerID"],
            137,
        )

    return good


async def move_to(scene: Scene, layout: Layout, node: Node) -> None:
    """The user's server runs on that node, and so will new jobs."""
    scene.platform.kubectl("cordon", layout.node(1).name)
    await scene.user.stop_server()
    await scene.spawn()
    pod = await scene.client.get(PODS, "jupyter-admin", USERS)
    assert pod["spec"]["nodeName"] == node.name
