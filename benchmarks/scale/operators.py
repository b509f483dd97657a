"""The operators to measure: how each is made ready for and started on a cluster. All act as the same user."""

import asyncio
import base64
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.kube.resources import NAMESPACES, SECRETS
from tests.e2e.product import free_port

from . import programs
from .cluster import POLL, START_TIMEOUT, Cluster

OUR_CRD = Path(programs.__file__).resolve().parents[2] / "kf_spawner" / "manifests" / "tfjobs-crd.yaml"
GO_NAMESPACE = "kubeflow"
GO_SECRET = "training-operator-webhook-cert"
GO_WEBHOOKS = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "validator.training-operator.kubeflow.org"},
}
# Where the Go operator looks for its certificate; it is in its code.
GO_CERTIFICATES = Path("/tmp/k8s-webhook-server/serving-certs")


class OperatorEnded(Exception):
    """The operator's process ended by itself, with the end of its log."""


@dataclass
class Running:
    """A started operator."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        if self.process.poll() is not None:
            tail = self.log.read_text(errors="replace")[-3000:]
            raise OperatorEnded(f"the operator ended with {self.process.returncode}:\n{tail}")


class Command:
    """Any operator that serves the TFJob CRD, as a command line; `{kubeconfig}` in it is replaced."""

    def __init__(self, name: str, command: str):
        self.name, self._argv = name, shlex.split(command)

    async def prepare(self, cluster: Cluster) -> None:
        """Once for a cluster: its CRD and what else it wants."""
        _apply_crd(cluster, OUR_CRD)

    @contextlib.asynccontextmanager
    async def running(self, cluster: Cluster) -> AsyncIterator[Running]:
        argv = [word.replace("{kubeconfig}", str(cluster.operator_kubeconfig)) for word in self._argv]
        with _process(self.name, argv, cluster) as running:
            yield running


class Ours(Command):
    def __init__(self) -> None:
        command = [sys.executable, "-m", "kf_spawner.operator", "--kubeconfig={kubeconfig}", "--metrics-port=0"]
        super().__init__("ours", shlex.join(command))


class TrainingOperator:
    """The last Go training operator, as released, on a machine instead of in a pod."""

    name = "go"

    async def prepare(self, cluster: Cluster) -> None:
        self._program = await programs.training_operator()
        _apply_crd(cluster, programs.training_operator_crd())
        meta = {"name": GO_NAMESPACE}
        await cluster.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": GO_SECRET, "namespace": GO_NAMESPACE}}
        await cluster.client.create(SECRETS, secret)
        path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        await cluster.client.request("POST", path, body=GO_WEBHOOKS)

    @contextlib.asynccontextmanager
    async def running(self, cluster: Cluster) -> AsyncIterator[Running]:
        argv = [str(self._program), f"--kubeconfig={cluster.operator_kubeconfig}", "--enable-scheme=tfjob"]
        argv += ["--metrics-bind-address=0", "--health-probe-bind-address=0"]
        try:
            with _process(self.name, [*argv, f"--webhook-server-port={free_port()}"], cluster) as running:
                await self._give_certificate(cluster)
                yield running
        finally:
            shutil.rmtree(GO_CERTIFICATES.parent, ignore_errors=True)

    async def _give_certificate(self, cluster: Cluster) -> None:
        """In a pod, the Secret that it fills is mounted; here its files are written."""
        async with asyncio.timeout(START_TIMEOUT):
            while not (data := (await cluster.client.get(SECRETS, GO_SECRET, GO_NAMESPACE)).get("data")):
                await asyncio.sleep(POLL)
        GO_CERTIFICATES.mkdir(parents=True, exist_ok=True)
        for name, content in data.items():
            (GO_CERTIFICATES / name).write_bytes(base64.b64decode(content))


Operator = Command | TrainingOperator


@contextlib.contextmanager
def _process(name: str, argv: list[str], cluster: Cluster):
    """In a session of its own, by which its use is counted."""
    path = cluster.folder / "logs" / f"operator-{name}.log"
    env = {**os.environ, "KUBECONFIG": str(cluster.operator_kubeconfig), "MY_POD_NAMESPACE": GO_NAMESPACE}
    with path.open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log, env=env, start_new_session=True)
    try:
        yield Running(process, path)
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _apply_crd(cluster: Cluster, path: Path) -> None:
    cluster.kubectl("apply", "--server-side", "-f", str(path))
    cluster.kubectl("wait", "--for=condition=Established", "crd/tfjobs.kubeflow.org", "--timeout=30s")
