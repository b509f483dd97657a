"""A real node beside the session's control plane, as a process of its own, and pods on it."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kf_spawner.kube import AlreadyExists, Client, Forbidden, NotFound, load_config
from kf_spawner.kube.resources import EVENTS, NAMESPACES, PODS
from kf_spawner.localcluster.node.processes import marked
from tests.fixtures.control_plane import ControlPlane

TIMEOUT = 40.0
POLL = 0.03
IMAGE = "kf-spawner/plain:0.1.0"
NUMBERS = itertools.count()


@dataclass
class LocalNode:
    """A node process: `start`, `stop` (SIGTERM), `kill` (SIGKILL); its folder stays in between.

    Without a provisioner: that one serves the claims of the whole cluster, so also those of other tests.
    """

    plane: ControlPlane
    home: Path
    name: str
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    healthz_port: int = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = self.home / "node.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.healthz_port = free.getsockname()[1]
        image = self.home / "images" / "plain"
        image.mkdir(parents=True, exist_ok=True)
        (image / "requirements.txt").write_text("")
        description = {
            "name": "plain",
            "description": "Nothing but Python",
            "tensorflow": "none",
            "python": "3.11",
            "gpu": False,
            "kind": "notebook",
            "cmd": ["python", "-c", "print('the image says hello')"],
            "environments": [{"folder": "python", "pythons": ["3.11"], "requirements": "requirements.txt"}],
        }
        (image / "image.json").write_text(json.dumps(description))

    @property
    def root(self) -> Path:
        return self.home / "node"

    def start(self, *options: str) -> None:
        keys = self.plane.credentials
        kubeconfig = self.plane.kubeconfig(f"system:node:{self.name}", ["system:nodes"])
        argv = [
            *(sys.executable, "-m", "kf_spawner.localcluster.node"),
            f"--kubeconfig={kubeconfig}",
            f"--name={self.name}",
            f"--root={self.root}",
            f"--images={self.home / 'images'}",
            f"--image-cache={self.home / 'cache'}",
            f"--tls-cert={keys.node_server.certificate}",
            f"--tls-key={keys.node_server.key}",
            f"--client-ca={keys.authority}",
            f"--healthz-port={self.healthz_port}",
            *self.options,
            *options,
        ]
        environment = {**os.environ, "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment, start_new_session=True)

    async def until_ready(self) -> None:
        """Returns once the node has adopted what there was and takes pods."""
        assert self.process is not None
        deadline = time.monotonic() + TIMEOUT
        while not await self._is_ready():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(POLL)

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.healthz_port)
            writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
            line = await reader.readline()
            writer.close()
        except OSError:
            return False
        return b" 200 " in line

    def stop(self, timeout: float = 30.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def container_processes(self, uid: str = "") -> dict[int, str]:
        """pid -> attempt folder, of all that runs for this node's containers (of one pod, if `uid` is given)."""
        return marked(str(self.root / "pods" / uid) + "/" if uid else str(self.root / "pods") + "/")

    def shims(self) -> list[int]:
        """The pids of the shims that run."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if any(word.endswith(b"shim.py") for word in words) and f"{self.root}/".encode() in b"\0".join(words):
                    found.append(int(entry.parent.name))
        return found

    def attempts(self, uid: str, container: str) -> list[Path]:
        folder = self.root / "pods" / uid / "containers" / container
        return sorted(folder.iterdir(), key=lambda path: int(path.name)) if folder.exists() else []

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        assert not eventually(lambda: self.container_processes() or self.shims(), wanted=False)


def eventually(value: Callable[[], object], *, wanted: bool = True, timeout: float = 5.0) -> object:
    """What `value()` is once it is true (or, with `wanted=False`, false), or after `timeout` s."""
    deadline = time.monotonic() + timeout
    while bool(now := value()) is not wanted and time.monotonic() < deadline:
        time.sleep(POLL)
    return now


class Cluster:
    """Pods on one node, in one namespace."""

    def __init__(self, client: Client, node: LocalNode, namespace: str):
        self.client = client
        self.node = node
        self.namespace = namespace

    async def pod(self, *containers: dict, name: str = "", wait: bool = False, **spec: object) -> dict:
        """Creates a pod on the node; each container is `{"name", "command", …}` with the test's image by default."""
        filled = [self._filled(container, index) for index, container in enumerate(containers)]
        init = [self._filled(container, index, "init") for index, container in enumerate(spec.pop("init", []))]  # type: ignore[arg-type, var-annotated]
        meta = {"name": name or f"pod-{next(NUMBERS)}", "namespace": self.namespace, **spec.pop("metadata", {})}  # type: ignore[dict-item]
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {
                "nodeName": self.node.name,
                "containers": filled,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 5,
                **({"initContainers": init} if init else {}),
                **spec,
            },
        }
        deadline = time.monotonic() + TIMEOUT
        while True:
            try:
                return await self.client.create(PODS, body)
            except Forbidden:  # the namespace's service account is made a moment after it
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL)

    def _filled(self, container: dict, index: int, prefix: str = "c") -> dict:
        return {"name": f"{prefix}{index}", "image": IMAGE, **container}

    async def get(self, pod: dict) -> dict:
        return await self.client.get(PODS, pod["metadata"]["name"], self.namespace)

    async def until(self, pod: dict, wanted: Callable[[dict], object], timeout: float = TIMEOUT) -> dict:
        """The pod once `wanted(pod)` is true of it; fails with its status and the node's log otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            now = await self.get(pod)
            if wanted(now):
                return now
            if time.monotonic() > deadline:
                tail = self.node.log.read_text()[-3000:]
                pytest.fail(f"not reached: {json.dumps(now['status'], indent=1)}\n{await self.events(pod)}\n{tail}")
            await asyncio.sleep(POLL)

    async def phase(self, pod: dict, phase: str) -> dict:
        return await self.until(pod, lambda now: now["status"].get("phase") == phase)

    async def ready(self, pod: dict) -> dict:
        return await self.until(pod, lambda now: condition(now, "Ready") == "True")

    async def gone(self, pod: dict, timeout: float = TIMEOUT) -> None:
        deadline = time.monotonic() + timeout
        while any(item["metadata"]["uid"] == pod["metadata"]["uid"] for item in await self.pods()):
            assert time.monotonic() < deadline, (await self.get(pod), self.node.log.read_text()[-3000:])
            await asyncio.sleep(POLL)

    async def pods(self) -> list[dict]:
        return (await self.client.list(PODS, self.namespace))["items"]

    async def delete(self, pod: dict, grace_period: int | None = None) -> None:
        await self.client.delete(PODS, pod["metadata"]["name"], self.namespace, grace_period=grace_period)

    async def logs(self, pod: dict, container: str = "c0", **options: object) -> str:
        lines = [
            line
            async for line in self.client.logs(self.namespace, pod["metadata"]["name"], container, **options)  # type: ignore[arg-type]
        ]
        return b"".join(lines).decode()

    async def first_line(self, pod: dict, container: str = "c0") -> str:
        """What the container wrote first, once it did."""
        await self.until(
            pod, lambda now: "running" in _state(now, container) or "terminated" in _state(now, container)
        )
        lines = self.client.logs(self.namespace, pod["metadata"]["name"], container, follow=True)
        try:
            return (await asyncio.wait_for(anext(lines), TIMEOUT)).decode()
        finally:
            await lines.aclose()

    async def events(self, pod: dict) -> list[tuple[str, str, str]]:
        """(type, reason, message) of the pod's events, oldest first."""
        selector = f"involvedObject.uid={pod['metadata']['uid']}"
        items = (await self.client.list(EVENTS, self.namespace, field_selector=selector))["items"]
        items.sort(key=lambda item: (item["firstTimestamp"] or "", int(item["metadata"]["resourceVersion"])))
        return [(item["type"], item["reason"], item["message"]) for item in items]

    async def event(self, pod: dict, reason: str, part: str = "", timeout: float = 10.0) -> tuple[str, str, str]:
        """The first event of that reason with `part` in its message."""
        deadline = time.monotonic() + timeout
        while True:
            events = await self.events(pod)
            for event in events:
                if event[1] == reason and part in event[2]:
                    return event
            assert time.monotonic() < deadline, events
            await asyncio.sleep(POLL)


def condition(pod: dict, kind: str) -> str | None:
    conditions = {entry["type"]: entry["status"] for entry in pod["status"].get("conditions") or []}
    return conditions.get(kind)


def container(pod: dict, name: str = "c0") -> dict:
    """A container's status."""
    statuses = [*pod["status"].get("containerStatuses", []), *pod["status"].get("initContainerStatuses", [])]
    return next((status for status in statuses if status["name"] == name), {"state": {}})


def _state(pod: dict, name: str) -> dict:
    return container(pod, name)["state"]


def ended(pod: dict, name: str = "c0") -> dict:
    return container(pod, name)["state"].get("terminated") or {}


def waits(pod: dict, name: str = "c0") -> dict:
    return container(pod, name)["state"].get("waiting") or {}


def sh(script: str) -> dict:
    return {"command": ["sh", "-c", script]}


def python(script: str) -> dict:
    return {"command": ["python", "-c", script]}


@pytest.fixture(scope="session")
def node(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """The session's node, with short back-offs. Do not stop it: make one with `new_node` for that."""
    node = LocalNode(
        control_plane,
        tmp_path_factory.mktemp("node"),
        "life",
        options=("--backoff-first=1", "--log-max-bytes=100000", "--refresh-interval=0.5", "--reserved-memory=0"),
    )
    node.start()
    yield node
    node.close()


@pytest.fixture
def new_node(control_plane: ControlPlane, tmp_path: Path) -> Iterator[LocalNode]:
    """A node for one test, not started, that the test may do to what it likes."""
    node = LocalNode(control_plane, tmp_path / "home", f"node-{os.getpid()}-{time.monotonic_ns() % 10**9}")
    yield node
    node.close()


@pytest.fixture
async def admin(control_plane: ControlPlane) -> AsyncIterator[Client]:
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="node-tests") as client:
        yield client


async def make_namespace(client: Client, name: str) -> None:
    with contextlib.suppress(AlreadyExists):
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


@pytest.fixture
async def cluster(admin: Client, node: LocalNode) -> AsyncIterator[Cluster]:
    """Pods of one test on the session's node; they are gone after it."""
    await make_namespace(admin, "life")
    cluster = Cluster(admin, node, "life")
    yield cluster
    for pod in await cluster.pods():
        with contextlib.suppress(NotFound):
            await cluster.delete(pod, grace_period=1)


@pytest.fixture
async def own_cluster(admin: Client, new_node: LocalNode) -> Cluster:
    """Pods of one test on a node of its own."""
    name = f"own-{time.monotonic_ns()}"
    await make_namespace(admin, name)
    return Cluster(admin, new_node, name)
