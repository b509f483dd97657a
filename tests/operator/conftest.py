"""A real API server with the CRD, and the operator as a process of its own that a test may kill."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import EVENTS, NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES
from kf_spawner.spawner.manifests import namespace as users_namespace
from kf_spawner.tfjob.names import TFJOBS
from tests.fixtures.control_plane import ControlPlane, running

MANIFESTS = Path(__file__).parents[2] / "kf_spawner" / "manifests"
VERSIONS = ("v1", "v1beta2", "v1beta1", "v1alpha2")
TIMEOUT = 120.0  # the garbage collector looks for new kinds only every 30 s, and the machine may have other work


class OperatorProcess:
    """`python -m kf_spawner.operator` with its log in a file."""

    def __init__(self, kubeconfig: Path, log: Path, *options: str, env: dict[str, str] | None = None):
        self.log, self._kubeconfig, self._options = log, kubeconfig, options
        self._env = {**os.environ, **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> "OperatorProcess":
        """Returns once it serves its health."""
        self.url = self._wait_for_url(self.launch())
        return self

    def launch(self) -> int:
        """Starts it and does not wait; where its log begins."""
        argv = [sys.executable, "-m", "kf_spawner.operator", "--kubeconfig", str(self._kubeconfig)]
        with self.log.open("ab") as log:
            begin = log.tell()
            argv += ["--metrics-port=0", *self._options]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=self._env)
        return begin

    def _wait_for_url(self, begin: int) -> str:
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline and self.process and self.process.poll() is None:
            found = re.search(rb'serving on ([^" ]+)"', self.log.read_bytes()[begin:])
            if found:
                return found[1].decode()
            time.sleep(0.02)
        raise AssertionError(f"the operator did not start:\n{self.log.read_text()[-3000:]}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return answer.read().decode()

    def kill(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        assert self.process
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)

    @property
    def memory(self) -> int:
        """Resident memory in MiB."""
        assert self.process
        fields = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(fields.partition("VmRSS:")[2].split()[0]) // 1024


@pytest.fixture(scope="package")
def control_plane(control_plane_binaries):
    """One of these tests' own: a node of other tests would run the replicas that these tests move by hand."""
    with running(control_plane_binaries) as plane:
        yield plane


@pytest.fixture(scope="package")
def operator_kubeconfig(control_plane) -> Path:
    """The operator's own identity, with the rights that its manifests give it and no more."""
    for name in (
        "tfjobs-crd.yaml",
        "rbac-operator.yaml",
        "policy-operator.yaml",
        "policy-claims.yaml",
        "policy-pods.yaml",
    ):
        kubectl(control_plane, "apply", "-f", str(MANIFESTS / name))
    for version in VERSIONS:
        until_served(control_plane, f"tfjobs.{version}.kubeflow.org")
    user = "--user=kf-spawner:operator"
    kubectl(control_plane, "create", "clusterrolebinding", "op", "--clusterrole=kf-spawner-operator", user)
    kubectl(control_plane, "create", "rolebinding", "op", "--clusterrole=kf-spawner-operator-leader", user)
    return control_plane.kubeconfig("kf-spawner:operator")


def kubectl(control_plane: ControlPlane, *arguments: str) -> str:
    """The administrator's kubectl; its output."""
    done = control_plane.kubectl(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_served(control_plane: ControlPlane, kind: str) -> None:
    """A new kind is in nobody's list and has no storage for a moment, also when its definition is Established."""
    deadline = time.monotonic() + TIMEOUT
    while control_plane.kubectl("get", kind, "--all-namespaces").returncode:
        assert time.monotonic() < deadline, f"{kind} is not served"
        time.sleep(0.05)


@contextlib.contextmanager
def an_operator(kubeconfig: Path, log: Path, *options: str, env: dict[str, str] | None = None):
    """One that serves its health; killed afterwards, and the end of its log printed."""
    process = OperatorProcess(kubeconfig, log, *options, env=env)
    try:
        yield process.start()
    finally:
        if process.process and process.process.poll() is None:
            process.kill()
        print(process.log.read_text()[-5000:])


@pytest.fixture(scope="module")
def shared_operator(operator_kubeconfig, tmp_path_factory) -> Iterator[OperatorProcess]:
    """One for all tests of a file: each has a namespace of its own."""
    with an_operator(operator_kubeconfig, tmp_path_factory.mktemp("operator") / "log") as process:
        yield process


@pytest.fixture
def operator_process(operator_kubeconfig, tmp_path) -> Iterator[OperatorProcess]:
    with an_operator(operator_kubeconfig, tmp_path / "operator.log") as process:
        yield process


@pytest.fixture
async def client(control_plane) -> AsyncIterator[Client]:
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as client:
        yield client


@dataclass
class Namespace:
    """The namespace of one test: its jobs, and reports on their pods as a kubelet makes them."""

    client: Client
    name: str

    async def create(self, job: dict) -> dict:
        job = {**job, "metadata": {"name": job["metadata"]["name"], "namespace": self.name}}
        return await self.client.create(TFJOBS, job)

    async def job(self, name: str = "mnist") -> dict:
        return await self.client.get(TFJOBS, name, self.name)

    async def pods(self) -> dict[str, dict]:
        return {pod["metadata"]["name"]: pod for pod in (await self.client.list(PODS, self.name))["items"]}

    async def services(self) -> dict[str, dict]:
        return {item["metadata"]["name"]: item for item in (await self.client.list(SERVICES, self.name))["items"]}

    async def put(self, pod: str, phase: str, *, code: int | None = None) -> None:
        """Reports a phase of `pod` as a kubelet does."""
        state: dict = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        if code is not None:
            state = {"terminated": {"exitCode": code}}
        container = {"name": "tensorflow", "image": "tf", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [{**container, "state": state}]}
        await self.client.patch(PODS, pod, {"status": status}, self.name, subresource="status")

    async def until(self, check: Callable[[], Awaitable[object]], *, timeout: float = TIMEOUT):
        """What `check` says, once that is true."""
        deadline = time.monotonic() + timeout
        while not (result := await check()):
            assert time.monotonic() < deadline, f"it did not happen; the jobs: {await self.describe()}"
            await asyncio.sleep(0.05)
        return result

    async def until_pods(self, *names: str) -> dict[str, dict]:
        async def check():
            pods = await self.pods()
            return (pods,) if set(pods) == set(names) else None

        return (await self.until(check))[0]

    async def until_condition(self, check: Callable[[list[dict]], object], name: str = "mnist") -> dict:
        """The job, once its conditions are as `check` wants them; there is one at least."""

        async def checked():
            job = await self.job(name)
            conditions = (job.get("status") or {}).get("conditions")
            return job if conditions and check(conditions) else None

        return await self.until(checked)

    async def until_state(self, state: str, name: str = "mnist") -> dict:
        """The job, once `kubectl get` would show `state`."""
        return await self.until_condition(lambda conditions: conditions[-1]["type"] == state, name)

    async def until_told(self, words: str) -> dict:
        """The job, once the message of its first condition says so: why it does not get on."""
        return await self.until_condition(lambda conditions: words in conditions[0]["message"])

    async def until_count(self, kind: str, **counts: int) -> dict:
        """The job, once its status has these counts for `kind`: `until_count("Worker", active=2)`."""

        async def counted():
            job = await self.job()
            found = ((job.get("status") or {}).get("replicaStatuses") or {}).get(kind) or {}
            return job if counts.items() <= found.items() else None

        return await self.until(counted)

    async def until_event(self, reason: str, message: str = "") -> None:
        """Returns once there is such an event: the operator writes them after the deed, and one after the other."""

        async def told():
            events = (await self.client.list(EVENTS, self.name))["items"]
            return any(event["reason"] == reason and message in event["message"] for event in events)

        await self.until(told)

    async def until_recreated(self, before: dict) -> dict:
        """The pod that replaces `before`."""
        meta = before["metadata"]

        async def recreated():
            pod = (await self.pods()).get(meta["name"])
            return pod if pod and pod["metadata"]["uid"] != meta["uid"] else None

        return await self.until(recreated)

    async def describe(self) -> str:
        jobs = (await self.client.list(TFJOBS, self.name))["items"]
        return yaml.safe_dump([{job["metadata"]["name"]: job.get("status")} for job in jobs[:5]])


@pytest.fixture
async def namespace(client) -> AsyncIterator[Namespace]:
    name = f"kf-{uuid.uuid4().hex[:12]}"
    await client.create(NAMESPACES, users_namespace(name, user=name, labels={}, annotations={}))
    namespace = Namespace(client, name)

    async def has_account():
        return any(a["metadata"]["name"] == "default" for a in (await client.list(SERVICEACCOUNTS, name))["items"])

    await namespace.until(has_account)
    yield namespace
    await client.delete(NAMESPACES, name)
