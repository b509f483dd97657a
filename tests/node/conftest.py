"""A real node beside the session's control plane, as a process of its own, and pods on it.

With CLUSTER set only `life/` runs, on that cluster's node: the rest is about what our node is made of.
"""

import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from kf_spawner.kube import AlreadyExists, Client, load_config
from kf_spawner.kube.resources import NAMESPACES
from tests.fixtures.control_plane import ControlPlane

from .local_node import LocalNode
from .pods import Pods

collect_ignore_glob = ["test_*.py"] if os.environ.get("CLUSTER") else []

BACKOFF = 1


class LocalPods(Pods):
    """Pods of one test on a local node that the test can look into."""

    def __init__(self, client: Client, node: LocalNode, namespace: str):
        super().__init__(client, node.target(namespace, backoff=BACKOFF))
        self.node = node


@pytest.fixture(scope="session")
def node(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalNode]:
    """The session's node, with short back-offs. Do not stop it: make one with `new_node` for that."""
    node = LocalNode(
        control_plane,
        tmp_path_factory.mktemp("node"),
        "life",
        options=(
            f"--backoff-first={BACKOFF}",
            "--log-max-bytes=100000",
            "--refresh-interval=0.5",
            "--reserved-memory=0",
        ),
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
async def local(admin: Client, node: LocalNode) -> AsyncIterator[LocalPods]:
    """Pods of one test on the session's node; they are told to go after it."""
    await make_namespace(admin, "life")
    pods = LocalPods(admin, node, "life")
    yield pods
    await pods.clear()


@pytest.fixture
async def own(admin: Client, new_node: LocalNode) -> LocalPods:
    """Pods of one test on a node of its own."""
    name = f"own-{time.monotonic_ns()}"
    await make_namespace(admin, name)
    return LocalPods(admin, new_node, name)
