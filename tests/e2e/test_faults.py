"""kill -9 of every process at a random moment while a job runs: the job ends right, no replica is made twice, and
what the API server acknowledged before, meanwhile and after is there.

One round a component by default; `make test-faults` does ten (KF_FAULT_ROUNDS). The seed is printed, and taken from
KF_FAULT_SEED to repeat a run.
"""

import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio

import kf_spawner
from kf_spawner.kube import ApiError, Client, load_config
from kf_spawner.kube.resources import CONFIGMAPS

from .client import HubClient

pytestmark = [pytest.mark.faults, pytest.mark.asyncio(loop_scope="module")]

ROUNDS = int(os.environ.get("KF_FAULT_ROUNDS", "1"))
SEED = int(os.environ.get("KF_FAULT_SEED", str(random.randrange(10**6))))
NOTEBOOK = "tensorflow-2.21.0-notebook-cpu"
IMAGE = f"kf-spawner/{NOTEBOOK}:{kf_spawner.__version__}"
COMPONENTS = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "node",
    "operator",
    "hub",
    "proxy",
    "door",
    "dashboard",
    "notebook server",
]
CLAIM = "faults"
REPLICAS = {"Chief": 1, "Worker": 2, "PS": 1}
# Each replica says that it has started, waits for the others to say so, and works for a moment.
PROGRAM = f"""
import os, time
job = os.environ["JOB"]
with open("/mnt/faults/starts", "a") as file:
    file.write(job + " " + os.environ["HOSTNAME"] + "\\n")
while len({{line for line in open("/mnt/faults/starts") if line.startswith(job + " ")}}) < {sum(REPLICAS.values())}:
    time.sleep(0.05)
time.sleep(3)
"""
JOB_TIMEOUT = 240.0
BACK_TIMEOUT = 180.0
WRITE_PAUSE = 0.02
LABEL = "written-by"


def manifest(name: str) -> dict:
    container = {
        "name": "tensorflow",
        "image": IMAGE,
        "command": ["python", "-S", "-c", PROGRAM],
        "env": [{"name": "JOB", "value": name}],
        "volumeMounts": [{"name": "faults", "mountPath": "/mnt/faults"}],
    }
    pod = {
        "containers": [container],
        "volumes": [{"name": "faults", "persistentVolumeClaim": {"claimName": CLAIM}}],
    }
    specs = {kind: {"replicas": count, "template": {"spec": pod}} for kind, count in REPLICAS.items()}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": name},
        "spec": {"tfReplicaSpecs": specs},
    }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(product):
    """A notebook server that runs through all rounds."""
    async with HubClient(product.hub) as client:
        await client.make_token()
        await client.spawn({"image": NOTEBOOK})
        yield client
        await client.stop_server()


@pytest.fixture(scope="module")
def starts(product, kubectl):
    """Where each replica writes that it has started: the directory of a claim."""
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    kubectl("wait", "--for=jsonpath={.status.phase}=Bound", f"pvc/{CLAIM}", "--timeout=30s")
    yield product.home / "volumes" / "kf-admin" / CLAIM / "starts"
    kubectl("delete", "tfjobs", "--all")
    kubectl("delete", "pvc", CLAIM)


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("component", COMPONENTS)
async def test_kill(product, kubectl, server, starts, component, turn):
    # A string seeds the same in every process; hash() does not.
    delay = random.Random(f"{SEED} {component} {turn}").uniform(0, 5)
    print(f"seed {SEED}: kill -9 of {component} {delay:.2f} s after the job was made")
    name = f"faults-{re.sub('[^a-z]', '', component)}-{turn}"
    async with writing(product.kubeconfig, name) as acknowledged:
        await asyncio.to_thread(kubectl, "apply", "-f", "-", stdin=json.dumps(manifest(name)))
        await until(lambda: acknowledged)
        await asyncio.sleep(delay)
        pid = await running(product, component)
        os.kill(pid, signal.SIGKILL)
        before = len(acknowledged)
        job = await outcome(kubectl, name)
        await until(lambda: len(acknowledged) > before + 1)  # one may have been under way
    assert job["status"]["conditions"][-1]["type"] == "Succeeded", job["status"]
    assert job["status"]["replicaStatuses"]["Chief"]["succeeded"] == 1
    started = collections.Counter(line for line in starts.read_text().split("\n") if line.startswith(name + " "))
    assert sorted(started.values()) == [1] * sum(REPLICAS.values()), started
    written = json.loads(kubectl("get", "configmaps", "-l", f"{LABEL}={name}", "-o", "json"))["items"]
    kept = {item["metadata"]["name"]: item["data"]["number"] for item in written}
    assert {key: kept.get(key) for key in acknowledged} == acknowledged
    await answers(server, f"/user/{server.user}/api/status")
    await answers(server, "/services/tfjobs/healthz")
    await running(product, component, since=pid)
    if component == "notebook server":  # a new pod: Kubernetes makes one that died often wait longer each time
        await server.stop_server()
        await server.spawn({"image": NOTEBOOK})
    kubectl("delete", "tfjob", name, "--wait=false")
    # All in one request: kubectl's own way takes a minute for a thousand of them.
    kubectl("delete", "--raw", f"/api/v1/namespaces/kf-admin/configmaps?labelSelector={LABEL}%3D{name}")


@contextlib.asynccontextmanager
async def writing(kubeconfig: str, name: str) -> AsyncIterator[dict[str, str]]:
    """Makes one ConfigMap after the other until the end: those that were acknowledged, and what is in each."""
    acknowledged: dict[str, str] = {}

    async def write(client: Client) -> None:
        for number in itertools.count():
            meta = {"name": f"{name}-{number}", "namespace": client.config.namespace, "labels": {LABEL: name}}
            obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"number": str(number)}}
            with contextlib.suppress(ApiError):  # not acknowledged
                await client.create(CONFIGMAPS, obj)
                acknowledged[meta["name"]] = str(number)
            await asyncio.sleep(WRITE_PAUSE)

    async with Client(load_config(kubeconfig), user_agent="kf-test-writer") as client:
        task = asyncio.create_task(write(client))
        try:
            yield acknowledged
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(BACK_TIMEOUT):
        while not holds():
            await asyncio.sleep(0.05)


async def running(product, component: str, *, since: int | None = None) -> int:
    """The pid of the component, which may be waiting for its next start; not `since`, which was killed."""
    async with asyncio.timeout(BACK_TIMEOUT):
        while True:
            if component == "notebook server":
                pid = server_pid(product)
            else:
                status = await asyncio.to_thread(product.status)
                pid = next((e["pid"] for e in status["components"] if e["name"] == component and e["running"]), None)
            if pid and pid != since:
                return pid
            await asyncio.sleep(0.1)


def server_pid(product) -> int | None:
    """The process that is jupyterhub-singleuser; the node's shim around it is not the one that is killed."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/cmdline") as file:
                words = file.read().split("\0")
            with open(f"/proc/{name}/environ") as file:
                mine = str(product.home) in file.read()
        except OSError:
            continue
        if mine and any(word.endswith("jupyterhub-singleuser") for word in words[:3]):
            return int(name)
    return None


async def outcome(kubectl, name: str) -> dict:
    """The job once it has ended; the API server may be away meanwhile."""
    deadline = time.monotonic() + JOB_TIMEOUT
    while time.monotonic() < deadline:
        done = await asyncio.to_thread(kubectl.run, "get", "tfjob", name, "-o", "json")
        if done.returncode == 0:
            job = json.loads(done.stdout)
            states = {
                entry["type"] for entry in job.get("status", {}).get("conditions", []) if entry["status"] == "True"
            }
            if states & {"Succeeded", "Failed"}:
                return job
        await asyncio.sleep(0.2)
    raise AssertionError(f"{name} has not ended within {JOB_TIMEOUT:g} s: {done.stdout}{done.stderr}")


async def answers(server: HubClient, path: str) -> None:
    """What is behind the door answers there again, to the token from before."""
    async with asyncio.timeout(BACK_TIMEOUT):
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with server.session.get(f"{server.url}{path}", headers=server.headers) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.2)
