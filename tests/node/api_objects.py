"""What the tests of volumes, addresses and environments share: clients of the real API server, and objects there."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

from kf_spawner.kube import AlreadyExists, ApiError, Client, load_config
from kf_spawner.kube.resources import BUILT_IN, NAMESPACES, NODES, PODS, SERVICEACCOUNTS

NODE = "things"
PATIENCE = 30.0


def client(kubeconfig: Path) -> Client:
    return Client(load_config(kubeconfig), user_agent="test")


def node_client(control_plane) -> Client:
    """With the rights of a kubelet, and no more."""
    return client(control_plane.kubeconfig(f"system:node:{NODE}", ["system:nodes"]))


async def eventually(check: Callable[[], Awaitable], *, patience: float = PATIENCE):
    """What `check` returns once it is true; its own errors (of the API or an assertion) only count at the end."""
    async with asyncio.timeout(patience * 2):
        deadline = asyncio.get_running_loop().time() + patience
        while True:
            try:
                found = await check()
                if found:
                    return found
                problem: Exception = AssertionError(f"still {found!r}")
            except (ApiError, AssertionError) as error:
                problem = error
            if asyncio.get_running_loop().time() > deadline:
                raise problem
            await asyncio.sleep(0.05)


async def new_namespace(admin: Client) -> str:
    """A namespace with its default account, and the node of these tests."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    await admin.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}
        await admin.create(NODES, node)
        status = {"status": {"allocatable": {"cpu": "4", "memory": "8Gi"}, "capacity": {"cpu": "4", "memory": "8Gi"}}}
        await admin.patch(NODES, NODE, status, subresource="status")
    except AlreadyExists:
        pass
    await eventually(lambda: admin.get(SERVICEACCOUNTS, "default", name))
    return name


async def create(admin: Client, kind: str, namespace: str | None, name: str, **rest) -> dict:
    """An object of the API by kind, such as ConfigMap."""
    resource = next(resource for (_version, each), resource in BUILT_IN.items() if each == kind)
    metadata = {"name": name, **rest.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    return await admin.create(
        resource, {"apiVersion": resource.api_version, "kind": kind, "metadata": metadata, **rest}
    )


async def bound_pod(admin: Client, namespace: str, name: str = "pod", **spec) -> dict:
    """A pod that the node of these tests runs; `spec` may name containers and volumes."""
    metadata = spec.pop("metadata", {})
    containers = spec.pop("containers", None) or [{"name": "main"}]
    for container in containers:
        container.setdefault("image", "none")
    body = {"nodeName": NODE, "containers": containers, **spec}
    return await create(admin, "Pod", namespace, name, metadata=metadata, spec=body)


async def remove_pod(admin: Client, pod: dict) -> None:
    meta = pod["metadata"]
    await admin.delete(PODS, meta["name"], meta["namespace"], grace_period=0)
