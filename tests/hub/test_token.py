"""The token that a server speaks to the hub with: only ever in a Secret, which goes with the server's pod."""

import json

import pytest
import pytest_asyncio

from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import CLAIMS, EVENTS, NAMESPACES, PODS, SECRETS
from kf_spawner.spawner import manifests, token

from .conftest import CPU_IMAGE, failure, is_ready, limit, stopped, until, whose

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def started(browser, user, resources) -> tuple[dict, dict]:
    """The pod of a server that is ready, and its Secret."""
    await browser.submit(user, image=CPU_IMAGE, home="none")
    await until(lambda: is_ready(browser, user))
    return await resources.pod(), await resources.secret()


async def secrets(resources) -> list[str]:
    return [item["metadata"]["name"] for item in (await resources.client.list(SECRETS, resources.namespace))["items"]]


async def test_the_token_is_in_a_secret_and_nowhere_in_the_pod(hub, node, browser, user, resources):
    pod, secret = await started(browser, user, resources)
    value = await resources.token()
    assert await whose(hub, value) == user
    assert value not in json.dumps(pod)
    taken = {entry["name"]: entry.get("valueFrom") for entry in pod["spec"]["containers"][0]["env"]}
    assert taken["JUPYTERHUB_API_TOKEN"] == taken["JPY_API_TOKEN"]
    assert taken["JUPYTERHUB_API_TOKEN"]["secretKeyRef"]["key"] in secret["data"]
    assert secret["type"] == "Opaque"
    assert [owner["uid"] for owner in secret["metadata"]["ownerReferences"]] == [pod["metadata"]["uid"]]


async def test_each_start_has_a_secret_of_its_own_that_goes_with_the_server(hub, node, browser, user, resources):
    _, first = await started(browser, user, resources)
    await stopped(browser, user)
    _, second = await started(browser, user, resources)
    assert first["metadata"]["name"] != second["metadata"]["name"]
    await stopped(browser, user)

    async def all_gone() -> bool:
        return not await secrets(resources)

    await until(all_gone)


@pytest_asyncio.fixture(loop_scope="session")
async def namespace(resources, user):
    """The user's namespace before the first start."""
    return await resources.client.create(
        NAMESPACES, manifests.namespace(resources.namespace, user=user, labels={}, annotations={})
    )


async def test_a_pod_that_cannot_be_made_leaves_no_secret(node, browser, user, resources, namespace):
    await limit(resources, {"count/pods": "0"}, refused=(PODS, {"containers": [{"name": "a", "image": "a"}]}))
    last = await failure(browser, user, image=CPU_IMAGE, home="none")
    assert "Your quota does not allow the server" in last["message"]
    assert await secrets(resources) == []


async def test_without_its_secret_a_pod_is_never_run_and_goes(node, browser, user, resources, namespace):
    await limit(resources, {"count/secrets": "0"}, refused=(SECRETS, {}))
    last = await failure(browser, user, image=CPU_IMAGE, home="none")
    assert "count/secrets" in last["message"]
    await until(resources.gone)


async def test_a_start_that_a_killed_hub_left_half_done_is_cleared_away(hub, node, browser, user, resources):
    """The hub ends after it made the pod and before the Secret: such a pod would wait for ever."""
    pod, _ = await started(browser, user, resources)
    await hub.kill()
    await resources.client.delete(PODS, resources.pod_name, resources.namespace, grace_period=0)
    labels = pod["metadata"]["labels"]
    meta = {"name": resources.pod_name, "namespace": resources.namespace, "labels": labels}
    spec = {"containers": [{"name": "notebook", "image": pod["spec"]["containers"][0]["image"]}]}
    await until(resources.gone)
    half = await resources.client.acting_as("kf-spawner:hub").create(
        PODS, token.held({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    )
    assert half["spec"]["schedulingGates"] == [token.GATE]
    await hub.start()
    await until(resources.gone)
    _, secret = await started(browser, user, resources)

    async def is_the_only_one() -> bool:
        return await secrets(resources) == [secret["metadata"]["name"]]

    await until(is_the_only_one)  # that of the pod before goes when the garbage collector comes


async def test_a_notebook_can_do_nothing_outside_its_namespace(control_plane, node, browser, user, resources):
    await started(browser, user, resources)
    account = f"system:serviceaccount:{resources.namespace}:{manifests.ACCOUNT}"
    async with Client(load_config(control_plane.kubeconfig(account)), user_agent="test") as client:
        assert (await client.list(PODS, resources.namespace))["items"]
        for kind in (PODS, CLAIMS, EVENTS):
            with pytest.raises(Forbidden):
                await client.list(kind, "default")
        for kind in (NAMESPACES, PODS):
            with pytest.raises(Forbidden):
                await client.list(kind)


async def test_neither_hub_nor_notebook_can_read_secrets(control_plane, node, browser, user, resources):
    _, secret = await started(browser, user, resources)
    name = secret["metadata"]["name"]
    account = f"system:serviceaccount:{resources.namespace}:{manifests.ACCOUNT}"
    for kubeconfig in (control_plane.credentials.client("hub"), control_plane.kubeconfig(account)):
        async with Client(load_config(kubeconfig), user_agent="test") as client:
            for ask in (
                client.get(SECRETS, name, resources.namespace),
                client.list(SECRETS, resources.namespace),
                client.delete(SECRETS, name, resources.namespace),
                client.patch(SECRETS, name, {"metadata": {"labels": {"a": "b"}}}, resources.namespace),
            ):
                with pytest.raises(Forbidden):
                    await ask
