"""These tests have their own control plane: they break nodes, storage classes and CRDs, which are cluster-wide."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator

import pytest

from kf_spawner.doctor.run import MANIFESTS
from kf_spawner.kube import ApiError, Client, load_config
from kf_spawner.kube.resources import NAMESPACES, NODES, PODS, SERVICEACCOUNTS, STORAGECLASSES
from kf_spawner.tfjob.names import TFJOBS
from tests.fixtures.control_plane import ControlPlane, running

from .fake_cluster import NODE, PROBES, FakeCluster, heartbeat, report_ready, storage_class
from .fake_cluster import now as now_text

PATIENCE = 60.0


@pytest.fixture(scope="package")
def control_plane(control_plane_binaries) -> Iterator[ControlPlane]:
    """With a healthy cluster: a node, DNS, a storage class, the TFJob CRD, a namespace for probes."""
    with running(control_plane_binaries) as plane:
        asyncio.run(_set_up(plane))
        yield plane


async def _set_up(plane: ControlPlane) -> None:
    async with Client(load_config(plane.admin_kubeconfig), user_agent="test") as client, asyncio.timeout(PATIENCE):
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        await client.create(NODES, node)
        room = {"cpu": "8", "memory": "16Gi", "pods": "110"}
        facts = {"capacity": room, "allocatable": room, "nodeInfo": _facts()}
        await client.patch(NODES, NODE, {"status": facts}, subresource="status")
        await client.create(STORAGECLASSES, storage_class())
        await make_namespace(client, PROBES)
        await heartbeat(client)
        cluster = FakeCluster(client, PROBES)
        await cluster.set_node()
        await _serve_names(cluster)
        await apply_crd(plane, client)


async def apply_crd(plane: ControlPlane, client: Client) -> None:
    applied = await asyncio.to_thread(
        plane.kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(MANIFESTS / "tfjobs-crd.yaml")
    )
    assert applied.returncode == 0, applied.stderr
    while True:
        with contextlib.suppress(ApiError):
            await client.list(TFJOBS)
            return
        await asyncio.sleep(0.1)


async def _serve_names(cluster: FakeCluster) -> None:
    meta = {"name": "coredns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    spec = {"nodeName": NODE, "containers": [{"name": "coredns", "image": "coredns"}]}
    await until_account(cluster.client, "kube-system")
    pod = await cluster.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    await report_ready(cluster, pod)


async def make_namespace(client: Client, name: str, **labels: str) -> None:
    """Returns once pods can be made there."""
    meta = {"name": name, "labels": labels}
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": meta})
    await until_account(client, name)


async def until_account(client: Client, namespace: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not (await client.list(SERVICEACCOUNTS, namespace, field_selector="metadata.name=default"))["items"]:
            await asyncio.sleep(0.05)


def _facts() -> dict:
    names = ("architecture", "bootID", "containerRuntimeVersion", "kernelVersion", "kubeProxyVersion")
    names += ("kubeletVersion", "machineID", "operatingSystem", "osImage", "systemUUID")
    return {name: f"fake since {now_text()}" for name in names}


@pytest.fixture
async def client(control_plane) -> AsyncIterator[Client]:
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as client:
        yield client


@pytest.fixture
async def cluster(client, request) -> AsyncIterator[FakeCluster]:
    """A healthy cluster and an empty namespace for the platform. A test repairs what it breaks."""
    namespace = f"kf-{os.getpid()}-{abs(hash(request.node.nodeid)) % 10**8}"
    await make_namespace(client, namespace)
    cluster = FakeCluster(client, namespace)
    await cluster.renew_lease()
    await cluster.set_node()  # other tests may have taken longer than the node's lease
    await cluster.ignore_existing_pods()
    fake_node = asyncio.create_task(cluster.run())
    try:
        yield cluster
    finally:
        fake_node.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await fake_node  # raises its errors here
        await client.delete(NAMESPACES, namespace)
        pods = await client.list(PODS, namespace)
        for pod in pods["items"]:  # no kubelet says that they have ended
            with contextlib.suppress(ApiError):
                await client.delete(PODS, pod["metadata"]["name"], namespace, grace_period=0)
