"""The Kubernetes client against the real API server: verbs, errors, watches, informers, events."""

import asyncio
import uuid

import pytest

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import (
    AlreadyExists,
    ApiError,
    Client,
    ConfigError,
    Conflict,
    EventRecorder,
    Forbidden,
    Gone,
    Informer,
    Invalid,
    NotFound,
    Unreachable,
    load_config,
)
from kf_spawner.kube.resources import CONFIGMAPS, CRDS, EVENTS, NAMESPACES
from tests.fixtures.ports import free_port

TOO_MANY_REQUESTS = 429


@pytest.fixture
async def client(control_plane):
    async with Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as opened:
        yield opened


@pytest.fixture
async def namespace(client):
    made = await client.create(
        NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "kube-test-"}}
    )
    yield made["metadata"]["name"]
    await client.delete(NAMESPACES, made["metadata"]["name"])


@pytest.fixture
async def late_kind(client):
    """A kind that the API server starts to cache long after its first resourceVersion.

    Only of such a one can a version be too old within a test's time.
    """
    things = Resource(f"t{uuid.uuid4().hex[:8]}.example", "v1", "things", "Thing")
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{things.group}"},
        "spec": {
            "group": things.group,
            "names": {"plural": "things", "singular": "thing", "kind": "Thing"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    await client.create(CRDS, crd)
    async with asyncio.timeout(60):
        while True:
            try:
                await client.list(things, "default")
                break
            except ApiError:  # not served yet
                await asyncio.sleep(0.05)
    yield things
    await client.delete(CRDS, f"things.{things.group}")


def thing(kind, name):
    return {"apiVersion": kind.api_version, "kind": "Thing", "metadata": {"name": name}}


def configmap(name, **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


async def until(condition, timeout=60.0):
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.02)


async def test_verbs(client, namespace):
    made = await client.create(CONFIGMAPS, configmap("one", a="1"), namespace)
    assert (await client.get(CONFIGMAPS, "one", namespace))["data"] == {"a": "1"}
    patched = await client.patch(CONFIGMAPS, "one", {"data": {"b": "2"}}, namespace)
    assert patched["data"] == {"a": "1", "b": "2"}
    listed = await client.list(CONFIGMAPS, namespace, field_selector="metadata.name=one")
    assert [(item["kind"], item["metadata"]["name"]) for item in listed["items"]] == [("ConfigMap", "one")]
    with pytest.raises(Conflict):
        await client.replace(CONFIGMAPS, made)  # its resourceVersion is old by now
    applied = configmap("one", a="3")
    applied["metadata"]["namespace"] = namespace
    assert (await client.apply(CONFIGMAPS, applied, field_manager="test"))["data"]["a"] == "3"
    with pytest.raises(Conflict):
        await client.delete(CONFIGMAPS, "one", namespace, uid="00000000-0000-0000-0000-000000000000")
    await client.delete(CONFIGMAPS, "one", namespace, uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get(CONFIGMAPS, "one", namespace)


async def test_errors_name_the_cause(client, namespace, control_plane):
    await client.create(CONFIGMAPS, configmap("twice"), namespace)
    with pytest.raises(AlreadyExists, match="already exists"):
        await client.create(CONFIGMAPS, configmap("twice"), namespace)
    with pytest.raises(Invalid, match=r"metadata\.name"):
        await client.create(CONFIGMAPS, configmap("Not A Name"), namespace)
    stranger = load_config(control_plane.kubeconfig("stranger"))
    async with Client(stranger, user_agent="test") as nobody:
        with pytest.raises(Forbidden, match="stranger"):
            await nobody.list(CONFIGMAPS, namespace)


async def test_nobody_there(tmp_path):
    port = free_port()
    path = tmp_path / "config"
    path.write_text(
        f"""
current-context: x
contexts: [{{name: x, context: {{cluster: x, user: x}}}}]
clusters: [{{name: x, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: x, user: {{}}}}]
"""
    )
    async with Client(load_config(path), user_agent="test") as nobody:
        with pytest.raises(Unreachable, match=str(port)):
            await nobody.list(NAMESPACES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        ("a: [", "cannot be read"),
        ("{}", "contexts has no entry named None"),
        (
            "current-context: x\ncontexts: [{name: x, context: {cluster: y, user: x}}]",
            "clusters has no entry named 'y'",
        ),
    ],
)
def test_bad_kubeconfig(tmp_path, content, words):
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=words):
        load_config(path)


async def test_informer_follows(client, namespace):
    seen = []

    def on_change(key, old, new):
        seen.append((key.split("/")[1], bool(old), bool(new)))

    await client.create(CONFIGMAPS, configmap("before"), namespace)
    selector = {"field_selector": "metadata.name!=kube-root-ca.crt"}
    async with Informer(client, CONFIGMAPS, namespace, on_change=on_change, **selector) as informer:
        await informer.synced()
        assert [item["metadata"]["name"] for item in informer.items()] == ["before"]
        await client.create(CONFIGMAPS, configmap("after"), namespace)
        await client.patch(CONFIGMAPS, "after", {"data": {"x": "y"}}, namespace)
        await client.delete(CONFIGMAPS, "before", namespace)
        await until(lambda: len(seen) == 4)
        assert informer.get(f"{namespace}/before") is None
        assert informer.get(f"{namespace}/after")["data"] == {"x": "y"}
    assert seen == [
        ("before", False, True),
        ("after", False, True),
        ("after", True, True),
        ("before", True, False),
    ]


async def test_a_version_that_is_too_old(client, namespace, late_kind):
    async def first():
        while True:
            try:
                return await anext(client.watch(late_kind, namespace, resource_version="1"))
            except ApiError as error:
                if error.status != TOO_MANY_REQUESTS:  # the API server has not yet begun to cache this kind
                    raise
                await asyncio.sleep(0.05)

    with pytest.raises(Gone):
        await asyncio.wait_for(first(), 60)


async def test_informer_lists_again_when_its_version_is_gone(client, namespace, late_kind):
    async with Informer(client, late_kind, namespace) as informer:
        await informer.synced()
        informer._version = "1"  # compacted away long ago: the next watch gets 410
        informer._task.cancel()
        await asyncio.wait([informer._task])
        await client.create(late_kind, thing(late_kind, "late"), namespace)
        informer._task = asyncio.create_task(informer._run())
        await until(lambda: informer.get(f"{namespace}/late"))


async def test_events_count_repetitions(client, namespace):
    about = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "thing", "namespace": namespace, "uid": "u1"},
    }
    async with EventRecorder(client, component="test") as recorder:
        for _ in range(3):
            recorder.event(about, "Warning", "Broken", "it is broken")
        recorder.event(about, "Normal", "Mended", "it " + "is mended " * 200)
        await recorder.flush()
    events = {item["reason"]: item for item in (await client.list(EVENTS, namespace))["items"]}
    assert events["Broken"]["count"] == 3
    assert events["Broken"]["involvedObject"]["name"] == "thing"
    assert events["Mended"]["message"].endswith("...")
    assert len(events["Mended"]["message"]) <= 1024


@pytest.mark.parametrize("name", [".", "..", "a/b", "../../../namespaces"])
async def test_a_name_cannot_lead_to_another_path(client, namespace, name):
    with pytest.raises(NotFound, match="cannot exist"):
        await client.get(CONFIGMAPS, name, namespace)
    with pytest.raises(NotFound, match="cannot exist"):
        await client.get(CONFIGMAPS, "kube-root-ca.crt", name)


@pytest.mark.parametrize("name", ["a?watch=1", "a#b", "a%2Fb", "a b", "é", "\ud800"])
async def test_an_odd_name_is_asked_for_as_it_is(client, namespace, name):
    with pytest.raises((NotFound, Invalid)):
        await client.get(CONFIGMAPS, name, namespace)
