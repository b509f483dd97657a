"""Parts are killed, a node is drained or lost, a disk full: jobs end right, homes are intact, and somebody says so.

Only on the cluster of `make cluster`, whose machines can be killed; see `user_session.py` for what goes on meanwhile.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import LEASES, NODES, PODS
from tests.cluster import outside
from tests.cluster.layout import ROOT, Layout
from tests.e2e.client import CellFailed

from . import faults
from .faults import FurtherNode
from .platform import NAMESPACE, Platform
from .user_session import PATIENCE, USERS, UserSession, patiently

LEASE = "kf-spawner-operator"
ONCE = {"chief-0": 1, "worker-0": 1, "worker-1": 1}
TWICE = {"chief-0": 2, "worker-0": 2, "worker-1": 2}
SOON = [
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
]
"""Kubernetes' default is 300 s from the moment at which a node counts as lost."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900), pytest.mark.disruptive]


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
def platform(layout, default_platform) -> Platform:
    return default_platform()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(platform, kubeconfig, archive) -> AsyncIterator[UserSession]:
    async with (
        Client(load_config(kubeconfig), user_agent="test") as client,
        UserSession(platform, client, archive.stem).opened() as opened,
    ):
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def session(opened) -> UserSession:
    """With a server that runs, whatever a test before has left."""
    _, user = await opened.user.api("GET", "/user")
    if not user["servers"]:
        await opened.spawn()
    return opened


@pytest.fixture(scope="module")
def further(layout) -> Iterator[FurtherNode]:
    node = FurtherNode(layout, 2)
    yield node
    node.end()


@pytest.fixture
def second(layout, archive, platform, further) -> Iterator[FurtherNode]:
    """A node that can be lost; afterwards the first one takes new pods again, and it does where it still runs."""
    further.start([archive])
    for state in ("create", "condition=Ready", "condition=DiskPressure=False"):
        platform.kubectl("wait", f"--for={state}", f"node/{further.name}", "--timeout=100s")
    yield further
    platform.kubectl("uncordon", layout.node(1).name)
    if further.full:
        further.empty()
    if further.runs():
        platform.kubectl("uncordon", further.name)
    else:
        platform.kubectl("delete", "node", further.name, "--ignore-not-found")


@pytest.mark.parametrize("program", ["kubelet", "containerd", "kube-apiserver"])
async def test_a_part_of_the_cluster_is_killed(session, layout, program):
    job = await session.job(f"without-{program}").start()
    before, moment = faults.processes(layout, program), datetime.now(UTC)
    written = layout.machine_log.stat().st_size
    faults.kill(before)
    async with asyncio.timeout(PATIENCE):
        while len([pid for pid in faults.processes(layout, program) if pid not in before]) < len(before):
            await asyncio.sleep(0.1)
    await until_node(session, layout.node(1).name, "Ready", "True")
    await session.until_all_is_well()
    await job.end()
    assert job.started() == ONCE
    assert f"{program} was killed by SIGKILL" in layout.machine_log.read_bytes()[written:].decode()
    if program == "kube-apiserver":
        await session.logged("operator", "watching tfjobs: the API server", since=moment)


@pytest.mark.parametrize("part", ["hub", "operator"])
async def test_a_part_of_the_platform_is_killed(session, part):
    """Of the operators the one that leads: the other takes over, or its own next process."""
    job = await session.job(f"without-{part}").start()
    pods = await session.part(part)
    lease = await session.client.get(LEASES, LEASE, NAMESPACE)
    leader = lease["spec"]["holderIdentity"]
    pod = next(pod for pod in pods if part != "operator" or pod["metadata"]["name"] in leader)
    (before,) = pod["status"]["containerStatuses"]
    faults.kill(faults.container_processes(before)[:1])
    await patiently(lambda: session.client.get(PODS, pod["metadata"]["name"], NAMESPACE), is_restarted(before))
    await session.until_all_is_well()
    if part == "operator":
        await patiently(
            lambda: session.client.get(LEASES, LEASE, NAMESPACE),
            lambda found: found["spec"].get("leaseTransitions", 0) > lease["spec"].get("leaseTransitions", 0),
        )
    await job.end()
    assert job.started() == ONCE


async def test_a_replica_that_is_killed_is_started_again(session):
    job = await session.job("again").start()
    faults.kill(faults.container_processes(await job.running("worker-1"))[:1])
    assert "worker-1 exited with code 137" in await job.told("ExitedWithCode")
    assert "Worker replica(s) failed" in await job.told("TFJobRestarting")
    await job.until_started(4)
    await session.until_all_is_well()
    await job.end()
    assert job.started() == {**ONCE, "worker-1": 2}


async def test_without_a_restart_policy_the_job_fails_and_says_so(session):
    job = await session.job("never").start(restart="Never")
    faults.kill(faults.container_processes(await job.running("worker-1"))[:1])
    failed = await job.until("Failed")
    assert failed["message"] == f"TFJob {USERS}/never has failed because 1 Worker replica(s) failed."
    assert f"{USERS}.never-worker-1 exited with code 137" in await job.told("ExitedWithCode")
    assert job.started() == ONCE


async def test_a_drained_node(session, layout, second, platform):
    """Job and server go on on the other node, the server when its user starts it there."""
    await move_to(session, layout, second)
    job = await session.job("drained").start()
    assert {node for _, node in job.starts()} == {second.name}
    platform.kubectl("uncordon", layout.node(1).name)
    moment = datetime.now(UTC)
    options = ("--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=55s")
    await asyncio.to_thread(platform.kubectl, "drain", second.name, *options)
    await job.until_started(6)
    told = await session.form("its node was drained, for example for maintenance")
    assert "the files on your home volume are still there" in told
    await session.logged("hub", "The server was ended: its node was drained", since=moment)
    await session.spawn()
    await session.until_all_is_well()
    await job.end()
    assert job.started() == TWICE
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_a_full_disk(session, layout, second, platform):
    """The node ends server and job; while no other takes them they wait and say why, and then go on there."""
    await move_to(session, layout, second)
    job = await session.job("full").start()
    second.fill()
    await until_node(session, second.name, "DiskPressure", "True")
    # A pod that ran, or one that came when the disk was full already.
    said = await job.told("TFJobPodDisrupted")
    assert re.search(
        "Kubernetes says: Evicted: (The node was low on resource|Pod was rejected: .*DiskPressure)", said
    )
    await job.created("cannot be scheduled")
    assert "low on resource" in await session.form("its node ran out of disk space")
    spawning = asyncio.create_task(session.spawn())
    try:
        await session.progress(f"No node takes this server: {second.name} has run out of disk space.")
        platform.kubectl("uncordon", layout.node(1).name)
        await spawning
    finally:
        spawning.cancel()
    await session.until_all_is_well()
    await job.until_started(4)
    await job.end()
    # The node needs not end all: the image of a server that is gone may be room enough.
    assert ONCE.keys() == job.started().keys()
    assert set(job.started().values()) <= {1, 2}
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_a_lost_node(session, layout, second, platform):
    """Its replicas are created again once Kubernetes gives them up, the server once the Node object is deleted."""
    await move_to(session, layout, second)
    job = await session.job("lost").start(tolerations=SOON)
    assert {node for _, node in job.starts()} == {second.name}
    platform.kubectl("uncordon", layout.node(1).name)
    second.lose()
    await job.until_started(6)
    assert await job.told("TFJobNodeLost") in {
        f"Pod lost-{name} is lost with its node {second.name}" for name in ONCE
    }
    platform.kubectl("delete", "node", second.name)
    assert "the files on your home volume are still there" in await session.form("its node was lost")
    await session.spawn()
    await session.until_all_is_well()
    await job.end()
    assert job.started() == TWICE
    assert {node for _, node in job.starts()[3:]} == {layout.node(1).name}


async def test_accounts_that_are_created_again(session, platform):
    """What has their tokens is refused, says so, and works again with the next token; servers and jobs go on."""
    job = await session.job("refused").start()
    moment = datetime.now(UTC)
    for part in ("operator", "hub"):
        await session.renew_account(part, NAMESPACE)
    for pod in await session.part("operator"):
        assert "does not accept the token in /var/run/secrets" in await readiness(pod)
    await session.logged("operator", "token: it has expired, or its account was deleted", since=moment)
    await session.refused_start("Kubernetes does not accept the hub's own account. Ask an administrator")
    await session.until_all_is_well()
    await asyncio.to_thread(platform.kubectl, "rollout", "restart", "deployment/operator", "deployment/hub")
    await asyncio.to_thread(platform.until_up)
    await session.until_all_is_well()
    await job.end()
    assert job.started() == ONCE


async def test_a_servers_account_that_is_created_again(session):
    """A cell says what to do, and that helps."""
    await session.renew_account("notebook", USERS)
    cell = "import kf_spawner.notebook as kf\nkf.list_tfjobs()"
    async with session.user.kernel() as kernel, asyncio.timeout(PATIENCE):
        while True:
            try:
                await kernel.run(cell)
            except CellFailed as error:
                assert "does not accept this server's account: restart the server" in str(error)  # noqa: PT017
                break
            await asyncio.sleep(0.2)
    await session.user.stop_server()
    await session.spawn()
    async with session.user.kernel() as kernel:
        await kernel.run(cell)
    await session.until_all_is_well()


async def test_a_token_of_the_user_that_expires(session):
    """In a cell that calls an endpoint with it."""
    token = await session.expired_token()
    async with session.user.kernel() as kernel:
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


async def until_node(session: UserSession, node: str, condition: str, value: str) -> None:
    await patiently(
        lambda: session.client.get(NODES, node),
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


async def move_to(session: UserSession, layout: Layout, node: FurtherNode) -> None:
    """The user's server runs on that node, and so will new jobs."""
    session.platform.kubectl("cordon", layout.node(1).name)
    await session.user.stop_server()
    await session.spawn()
    pod = await session.client.get(PODS, "jupyter-admin", USERS)
    assert pod["spec"]["nodeName"] == node.name
