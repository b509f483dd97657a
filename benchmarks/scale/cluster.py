"""A control plane of its own with kwok's nodes, and what a measurement asks of it. Knows no operator and no job."""

import asyncio
import contextlib
import dataclasses
import json
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import NAMESPACES, NODES, SERVICEACCOUNTS
from kf_spawner.localcluster.controlplane import binaries
from tests.fixtures.control_plane import ControlPlane

STAGES = Path(__file__).parent / "stages"
NODE_COUNT = 10
PODS_PER_NODE = 5000
OPERATOR_USER = "bench-operator"
POLL = 0.05
START_TIMEOUT = 60.0

AUDIT_POLICY = f"""
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: [{OPERATOR_USER}]
- level: None
"""


class Cluster:
    """Pods run as soon as they are bound to a node; they succeed while `success` is on."""

    def __init__(self, plane: ControlPlane, kwok: Path, client: Client):
        self.plane, self.client, self.folder = plane, client, plane.home
        self.operator_kubeconfig = plane.kubeconfig(OPERATOR_USER)
        self._kwok_program = kwok
        self._kwok: subprocess.Popen[bytes] | None = None

    def kubectl(self, *arguments: str) -> None:
        done = self.plane.kubectl(*arguments)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")

    async def make_namespace(self, name: str) -> None:
        """Returns once pods can be made in it."""
        await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        async with asyncio.timeout(START_TIMEOUT):
            while not (await self.client.list(SERVICEACCOUNTS, name))["items"]:
                await asyncio.sleep(POLL)

    def success(self, on: bool) -> None:
        """Restarts kwok, with or without the stage that ends pods well."""
        self.stop_kwok()
        names = ["config", "nodes", "pods", *(["success"] if on else [])]
        argv = [str(self._kwok_program), f"--kubeconfig={self.plane.admin_kubeconfig}", "--manage-all-nodes"]
        argv += [f"--config={STAGES / name}.yaml" for name in names]
        with (self.folder / "logs" / "kwok.log").open("ab") as log:
            self._kwok = subprocess.Popen(argv, stdout=log, stderr=log)

    def stop_kwok(self) -> None:
        if self._kwok is not None:
            self._kwok.send_signal(signal.SIGTERM)
            self._kwok.wait(30)
            self._kwok = None

    def check(self) -> None:
        """Raises when kwok has ended by itself."""
        if self._kwok is not None and self._kwok.poll() is not None:
            tail = (self.folder / "logs" / "kwok.log").read_text()[-2000:]
            raise RuntimeError(f"kwok ended with {self._kwok.returncode}:\n{tail}")

    def requests(self) -> Counter[str]:
        """Requests that the operator made so far, as `create pods`; a watch counts when it has ended."""
        counts: Counter[str] = Counter()
        with self._audit_log.open() as lines:
            for line in lines:
                entry = json.loads(line)
                what = entry.get("objectRef") or {}
                name = "/".join(filter(None, [what.get("resource"), what.get("subresource")]))
                counts[f"{entry['verb']} {name}"] += 1
        return counts

    @property
    def _audit_log(self) -> Path:
        return self.folder / "audit.log"

    async def start_nodes(self) -> None:
        for number in range(NODE_COUNT):
            name = f"kwok-{number}"
            room = {"cpu": "10k", "memory": "10Ti", "pods": str(PODS_PER_NODE)}
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            await self.client.create(NODES, {**node, "status": {"capacity": room, "allocatable": room}})
        self.success(False)
        async with asyncio.timeout(START_TIMEOUT):
            while not all(map(_is_ready, (await self.client.list(NODES))["items"])):
                self.check()
                await asyncio.sleep(POLL)


def _is_ready(node: dict) -> bool:
    conditions = node["status"].get("conditions") or ()
    taints = node["spec"].get("taints")
    return not taints and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


@contextlib.asynccontextmanager
async def running(kwok: Path) -> AsyncIterator[Cluster]:
    """A fresh one, that is gone afterwards."""
    found = await binaries.ensure(lambda text: print(text, flush=True))
    with tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        plane = ControlPlane.prepare(Path(folder) / "home", found)
        (plane.home / "audit.yaml").write_text(AUDIT_POLICY)
        plane.specs = [_for_load(spec, plane.home) for spec in plane.specs]
        try:
            await asyncio.to_thread(plane.start)
            async with Client(load_config(plane.admin_kubeconfig), user_agent="kf-bench") as client:
                cluster = Cluster(plane, kwok, client)
                try:
                    cluster.kubectl("create", "clusterrolebinding", "bench", "--clusterrole=cluster-admin",
                                    f"--user={OPERATOR_USER}")  # fmt: skip
                    await cluster.start_nodes()
                    yield cluster
                finally:
                    cluster.stop_kwok()
        finally:
            await asyncio.to_thread(plane.stop)


def _for_load(spec, home: Path):
    """The same process, without the bounds that suit an idle laptop: they would be what is measured."""
    env = {name: value for name, value in spec.env.items() if name not in ("GOMEMLIMIT", "GOGC")}
    argv = list(spec.argv)
    if spec.name in ("kube-controller-manager", "kube-scheduler"):
        argv += ["--kube-api-qps=5000", "--kube-api-burst=5000"]
    if spec.name == "kube-apiserver":
        argv += [f"--audit-policy-file={home / 'audit.yaml'}", f"--audit-log-path={home / 'audit.log'}"]
        argv += ["--audit-log-mode=batch", "--audit-log-batch-buffer-size=100000", "--audit-log-batch-max-wait=1s"]
    return dataclasses.replace(spec, argv=argv, env=env)
