"""An endpoint's manifests on a real API server: accepted as they are, under the strictest pod standard."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import DEPLOYMENTS, NAMESPACES, PODS, SERVICES
from kf_spawner.serving import SELECTOR, Backends, backends, build, status

QUOTAS = Resource("", "v1", "resourcequotas", "ResourceQuota")

OPTIONS = {
    "name": "digits",
    "claim": "claim-admin",
    "sub_path": "models/digits",
    "image": "kf-spawner/model-server:0.1.0",
    "resources": {"limits": {"memory": "1Gi"}},
    "env": {"OMP_NUM_THREADS": "1"},
}


@pytest.fixture
async def client(control_plane: Any) -> AsyncIterator[Client]:
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as opened:
        yield opened


@pytest.fixture
async def namespace(client: Client) -> AsyncIterator[str]:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    metadata = {"generateName": "serving-test-", "labels": labels}
    made = await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    yield made["metadata"]["name"]
    await client.delete(NAMESPACES, made["metadata"]["name"])


async def settled(client: Client, namespace: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The endpoint's status once it is as wanted."""
    async with asyncio.timeout(90):
        while True:
            pods = await client.list(PODS, namespace, label_selector=SELECTOR)
            found = status(await client.get(DEPLOYMENTS, "digits", namespace), pods["items"])
            if done(found):
                return found
            await asyncio.sleep(0.1)


async def make(client: Client, namespace: str) -> list[dict[str, Any]]:
    return [
        await client.apply(resource, manifest, field_manager="test")
        for resource, manifest in zip((DEPLOYMENTS, SERVICES), build(OPTIONS, namespace=namespace), strict=True)
    ]


async def test_its_pods_are_admitted_and_found_by_its_service(client: Client, namespace: str) -> None:
    _, service = await make(client, namespace)
    # This cluster has no node: that the pod waits for one means that it was admitted.
    found = await settled(client, namespace, lambda seen: "no node" in seen["message"])
    assert found["state"] == "Pending"
    pods = (await client.list(PODS, namespace))["items"]
    assert len(pods) == 1
    ready = {"conditions": [{"type": "Ready", "status": "True"}], "podIP": "10.0.0.9"}
    found_backends = backends([service], [{**pods[0], "status": ready}])
    assert found_backends == [Backends(namespace, "digits", ("10.0.0.9",), 8501)]


async def test_applying_it_again_changes_nothing(client: Client, namespace: str) -> None:
    first = await make(client, namespace)
    second = await make(client, namespace)
    assert [one["metadata"].get("generation") for one in first] == [
        one["metadata"].get("generation") for one in second
    ]


async def is_in_force(client: Client, namespace: str) -> bool:
    """Whether the quota already keeps pods out: admission learns of it some time after it was made."""
    spec = build(OPTIONS, namespace=namespace)[0]["spec"]["template"]["spec"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "probe-"}, "spec": spec}
    try:
        made = await client.create(PODS, pod, namespace)
    except Forbidden as error:
        return "exceeded quota" in error.message  # there may be no account yet
    await client.delete(PODS, made["metadata"]["name"], namespace, grace_period=0)
    return False


async def test_a_quota_is_named_as_the_cause(client: Client, namespace: str) -> None:
    quota = {"metadata": {"name": "none", "namespace": namespace}, "spec": {"hard": {"pods": "0"}}}
    await client.create(QUOTAS, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    async with asyncio.timeout(90):
        while not await is_in_force(client, namespace):
            await asyncio.sleep(0.1)
    await make(client, namespace)
    found = await settled(client, namespace, lambda seen: seen["state"] == "Failed")
    assert "no pod can be made" in found["message"]
    assert "quota" in found["message"]
