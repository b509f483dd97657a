"""What a whole cluster can lack, taken from it for a moment: DNS, a network plugin that works, any network plugin.

On a cluster of `make test-cluster` alone, for nothing else runs there meanwhile.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kf_spawner.kube import Client
from kf_spawner.kube.resources import DEPLOYMENTS, NODES, PODS
from tests.cluster.layout import Layout

from .conftest import until
from .test_doctor import causes, doctor, left

DNS = "k8s-app=kube-dns"

pytestmark = pytest.mark.disruptive


@pytest.fixture
def configuration(kubeconfig: Path) -> Path:
    """The file that tells the node's container runtime how a pod gets its network."""
    file = Layout(kubeconfig.resolve().parent).node(1).configuration / "network" / "pods.conflist"
    if not file.exists():
        pytest.skip("this cluster was not made by 'make cluster'")
    return file


@pytest.fixture
async def plugins(client: Client, configuration: Path) -> AsyncIterator[Path]:
    """The same, for a test to change: it is put back, and the node takes pods again before the next test begins."""
    before = configuration.read_text()
    try:
        yield configuration
    finally:
        configuration.write_text(before)
        await until(lambda: client.list(NODES), lambda found: all(map(takes_pods, found["items"])), patience=120)


@pytest.fixture
async def no_dns(client: Client, configuration: Path) -> AsyncIterator[None]:
    await scale_dns(client, 0)
    try:
        yield
    finally:
        await scale_dns(client, 1)


async def scale_dns(client: Client, replicas: int) -> None:
    await client.patch(DEPLOYMENTS, "coredns", {"spec": {"replicas": replicas}}, "kube-system")
    await until(
        lambda: client.list(PODS, "kube-system", label_selector=DNS),
        lambda found: len(found["items"]) == replicas and all(map(is_ready, found["items"])),
        patience=120,
    )


async def test_no_dns(client: Client, kubeconfig: Path, namespace: str, no_dns: None):
    report = await doctor(kubeconfig, f"--namespace={namespace}", "--timeout=120")
    assert set(causes(report)) == {"dns"}
    assert "the cluster has no DNS" in causes(report)["dns"]
    assert await left(client) == []


async def test_a_broken_network_plugin(client: Client, kubeconfig: Path, namespace: str, plugins: Path):
    broken = {"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "calico"}]}
    plugins.write_text(json.dumps(broken))

    async def ask() -> dict:
        return await doctor(kubeconfig, f"--namespace={namespace}", "--timeout=60", "--patience=3", "--skip=nodes")

    report = await until(ask, lambda report: bool(report["findings"]), patience=180)
    assert set(causes(report)) == {"network"}
    assert "the network plugin calico is broken on node" in causes(report)["network"]
    assert await left(client) == []


async def test_no_network_plugin(client: Client, kubeconfig: Path, namespace: str, plugins: Path):
    plugins.unlink()
    await until(lambda: client.list(NODES), lambda found: not any(map(takes_pods, found["items"])), patience=120)
    report = await doctor(kubeconfig, f"--namespace={namespace}")
    assert set(causes(report)) == {"nodes"}
    assert "has no working network plugin" in causes(report)["nodes"]


def is_ready(obj: dict) -> bool:
    return any(c["type"] == "Ready" and c["status"] == "True" for c in obj["status"].get("conditions", []))


def takes_pods(node: dict) -> bool:
    """It is ready, and its taints that said otherwise are gone."""
    return is_ready(node) and not node["spec"].get("taints")
