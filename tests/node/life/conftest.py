"""One suite, two nodes: `pods` are on our local node, or with CLUSTER set on a real kubelet of that cluster.

A test asserts the same answer from both. What cannot hold for a process is in `test_refusals.py`, with the refusal.
"""

import contextlib
import json
import os
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.localcluster.controlplane.binaries import Binaries
from tests.cluster import outside
from tests.cluster.layout import Layout
from tests.node.local_node import LocalNode
from tests.node.pods import IMAGE, NodeUnderTest, Pods

from .outage import Outage, of_kubelet, of_local_node

QUICK = ("--backoff-first=1", "--reserved-memory=0", "--refresh-interval=0.5")
OTHERS = ("kf-spawner://", "kwok")
"""Prefixes of the container runtime of nodes without a kubelet."""


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, control_plane_binaries: Binaries) -> Iterator[NodeUnderTest]:
    """Where pods run: one namespace for the session."""
    kubeconfig = os.environ.get("CLUSTER")
    if kubeconfig:
        with on_cluster(Path(kubeconfig), control_plane_binaries.kubectl) as target:
            yield target
    else:
        node = request.getfixturevalue("node")
        made = node.plane.kubectl("create", "namespace", "both")
        assert made.returncode == 0, made.stderr
        yield node.target("both", backoff=1)


@contextlib.contextmanager
def on_cluster(kubeconfig: Path, kubectl: Path) -> Iterator[NodeUnderTest]:
    """A namespace of its own on a ready kubelet's node, gone afterwards."""

    def run(*words: str) -> str:
        argv = [str(kubectl), f"--kubeconfig={kubeconfig}", *words]
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout

    namespace = f"node-{uuid.uuid4().hex[:8]}"
    node = kubelet(json.loads(run("get", "nodes", "-o", "json"))["items"])
    run("create", "namespace", namespace)
    try:
        yield NodeUnderTest(
            kubeconfig=kubeconfig,
            kubectl=kubectl,
            node=node,
            namespace=namespace,
            containers=True,
            backoff=10,
            image=os.environ.get("KF_TEST_IMAGE", IMAGE),
        )
    finally:
        run("delete", "namespace", namespace, "--wait=false")


def kubelet(nodes: list[dict]) -> str:
    """The name of the first node with containers that is ready and takes pods."""
    for node in nodes:
        status = node["status"]
        ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in status["conditions"])
        runtime = status["nodeInfo"]["containerRuntimeVersion"]
        if ready and not node["spec"].get("unschedulable") and not runtime.startswith(OTHERS):
            return str(node["metadata"]["name"])
    pytest.fail("the cluster that CLUSTER names has no ready node with a kubelet: see kubectl get nodes")


@pytest.fixture
async def client(target: NodeUnderTest) -> AsyncIterator[Client]:
    async with Client(load_config(target.kubeconfig), user_agent="node-tests") as client:
        yield client


@pytest.fixture
async def pods(client: Client, target: NodeUnderTest) -> AsyncIterator[Pods]:
    """The pods of one test; they are told to go after it."""
    pods = Pods(client, target)
    yield pods
    await pods.clear()


@pytest.fixture(scope="module")
def outage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    """A node that tests can take away: one of ours for them alone, or the kubelet of `make test-cluster`."""
    if kubeconfig := os.environ.get("CLUSTER"):
        layout = Layout(Path(kubeconfig).resolve().parent)
        if outside.machine(layout) is None:
            pytest.skip("the kubelet of a cluster that was not made by 'make cluster' is left alone")
        yield of_kubelet(request.getfixturevalue("target"), layout)
        return
    node = LocalNode(request.getfixturevalue("control_plane"), tmp_path_factory.mktemp("outage"), "outage")
    node.start(*QUICK)
    yield of_local_node(node, "outage", *QUICK)
    node.close()
