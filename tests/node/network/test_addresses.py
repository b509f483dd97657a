"""Addresses of pods and services: kept, never shared, free again; and what listens for a service passes on."""

import asyncio
import contextlib

import pytest

from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.localcluster.node.common.translate import service_names
from kf_spawner.localcluster.node.network.addresses import Addresses, MissingService, Untranslatable
from kf_spawner.localcluster.node.network.service_proxy import backends
from tests.node.api_objects import NODE, bound_pod, client, create, eventually, new_namespace, node_client


class Nodes:
    """Any number of nodes on this machine, with a kubelet's rights."""

    def __init__(self, node, stack: contextlib.AsyncExitStack):
        self._node = node
        self._stack = stack

    def new(self, root) -> Addresses:
        root.mkdir(exist_ok=True)
        addresses = Addresses(self._node, root)
        self._stack.push_async_callback(addresses.close)
        return addresses


@pytest.fixture
async def nodes(control_plane):
    async with node_client(control_plane) as node, contextlib.AsyncExitStack() as stack:
        yield Nodes(node, stack)


@pytest.fixture
async def server(control_plane):
    async with client(control_plane.admin_kubeconfig) as admin:
        yield admin, await new_namespace(admin)


def fake_pod(namespace: str, uid: str) -> dict:
    return {"metadata": {"name": uid, "namespace": namespace, "uid": uid}, "spec": {"nodeName": NODE}}


async def resolved(addresses: Addresses, pod: dict, text: str) -> list[str]:
    names = service_names(text, namespace=pod["metadata"]["namespace"])
    return sorted((await addresses.resolve(pod, names)).values())


async def test_each_pod_of_each_node_has_an_address_of_its_own_that_can_be_listened_on(nodes, tmp_path):
    first, second = nodes.new(tmp_path / "a"), nodes.new(tmp_path / "b")
    ips = [await node.pod_ip(uid) for node in (first, second) for uid in ("u1", "u2", "u3")]
    assert len(set(ips)) == 6
    assert ips[0].startswith("127.")
    assert ips[0].split(".")[1] != ips[3].split(".")[1]
    assert await first.pod_ip("u1") == ips[0]
    listener = await asyncio.start_server(lambda _reader, writer: writer.close(), ips[0], 0)
    listener.close()


async def test_addresses_outlive_the_node_and_are_free_after_release(nodes, tmp_path):
    first = nodes.new(tmp_path)
    ip, other = await first.pod_ip("u1"), await first.pod_ip("u2")
    await first.close()  # as a kill: nothing else is written at the end
    again = nodes.new(tmp_path)
    assert [await again.pod_ip("u1"), await again.pod_ip("u2")] == [ip, other]
    again.release("u1")
    assert await again.pod_ip("u3") not in (ip, other), "a released address is given away last"
    await again.close()
    third = nodes.new(tmp_path)
    await third.adopt([fake_pod("n", "u2")])
    assert await third.pod_ip("u2") == other
    assert set(third._book.pods) == {"u2"}


async def test_pods_keep_their_addresses_when_another_node_took_the_slice_meanwhile(nodes, tmp_path):
    first = nodes.new(tmp_path / "a")
    ip = await first.pod_ip("u1")
    slice_ = first._book.slice
    await first.close()
    usurper = nodes.new(tmp_path / "b")
    assert usurper._reservations.take_slice(wanted=slice_, seed="x") == slice_
    again = nodes.new(tmp_path / "a")
    assert await again.pod_ip("u1") == ip
    assert (await again.pod_ip("u2")).split(".")[1] != str(slice_)


async def headless(admin, namespace: str, name: str, port: int = 2222) -> dict:
    spec = {"clusterIP": "None", "selector": {"job": name}, "ports": [{"port": port}]}
    return await create(admin, "Service", namespace, name, spec=spec)


async def test_a_headless_port_is_the_same_for_all_pods_and_another_for_each_service(server, nodes, tmp_path):
    admin, namespace = server
    addresses = nodes.new(tmp_path)
    for name in ("w-0", "w-1"):
        await headless(admin, namespace, name)
    one, two = fake_pod(namespace, "u1"), fake_pod(namespace, "u2")
    text = f"w-0.{namespace}.svc:2222 w-1:2222"
    first = await resolved(addresses, one, text)
    assert len(set(first)) == 2
    assert all(each.startswith("127.0.0.1:") for each in first)
    assert await resolved(addresses, two, f"w-0:2222 w-1.{namespace}.svc.cluster.local:2222") == first
    assert await resolved(addresses, two, f"pod-0.w-0.{namespace}.svc:2222") not in ([first[0]], [first[1]])
    await addresses.close()
    again = nodes.new(tmp_path)
    assert await resolved(again, one, text) == first
    other_node = nodes.new(tmp_path / "other")
    assert not set(await resolved(other_node, one, text)) & set(first)


async def test_a_port_is_free_again_once_no_pod_uses_it_and_its_service_is_gone(server, nodes, tmp_path):
    admin, namespace = server
    addresses = nodes.new(tmp_path)
    await headless(admin, namespace, "w-0")
    one, two = fake_pod(namespace, "u1"), fake_pod(namespace, "u2")
    for pod in (one, two):
        await addresses.pod_ip(pod["metadata"]["uid"])
        await resolved(addresses, pod, "w-0:2222")

    async def after_release(uid: str) -> dict:
        addresses.release(uid)
        await addresses._sweeper
        return addresses._book.ports

    assert len(await after_release("u1")) == 1, "u2 has it"
    assert len(await after_release("u2")) == 1, "its service is there"
    await admin.delete(SERVICES, "w-0", namespace)
    await addresses.pod_ip("u3")
    assert await after_release("u3") == {}


async def test_what_a_killed_node_did_not_free_the_next_one_does(server, nodes, tmp_path):
    admin, namespace = server
    addresses = nodes.new(tmp_path)
    await headless(admin, namespace, "w-0")
    await resolved(addresses, fake_pod(namespace, "u1"), "w-0:2222")
    await admin.delete(SERVICES, "w-0", namespace)
    await addresses.close()
    again = nodes.new(tmp_path)
    await again.adopt([fake_pod(namespace, "u2")])
    await again._sweeper
    assert again._book.ports == {}


async def test_what_must_be_a_service_and_is_not_there_is_waited_for(server, nodes, tmp_path):
    admin, namespace = server
    addresses, pod = nodes.new(tmp_path), fake_pod(namespace, "u1")
    with pytest.raises(MissingService, match='service "late"'):
        await resolved(addresses, pod, f"late.{namespace}.svc:1")
    assert await resolved(addresses, pod, "late:1 late.other:1 x.linear.svc") == []
    await headless(admin, namespace, "late")
    assert await resolved(addresses, pod, "late:1") == [], "no port of it, so a word like any other"
    assert len(await resolved(addresses, pod, f"late.{namespace}.svc:1")) == 1


async def test_what_no_address_can_stand_for_is_refused(server, nodes, tmp_path):
    admin, namespace = server
    addresses, pod = nodes.new(tmp_path), fake_pod(namespace, "u1")
    await headless(admin, namespace, "h")
    with pytest.raises(Untranslatable, match="without a port"):
        await resolved(addresses, pod, f"h.{namespace}.svc")
    await create(admin, "Service", namespace, "manual", spec={"ports": [{"port": 80}]})
    with pytest.raises(Untranslatable, match="no selector"):
        await resolved(addresses, pod, f"manual.{namespace}.svc:80")


async def test_the_api_server_and_names_outside_are_what_they_are(server, nodes, tmp_path, control_plane):
    admin, namespace = server
    addresses, pod = nodes.new(tmp_path), fake_pod(namespace, "u1")
    outside = {"type": "ExternalName", "externalName": "db.example.org"}
    await create(admin, "Service", namespace, "db", spec=outside)
    assert await resolved(addresses, pod, f"db.{namespace}.svc:5432") == ["db.example.org:5432"]
    found = await resolved(addresses, pod, "https://kubernetes.default.svc")
    assert [f"https://{found[0]}"] == [control_plane.server]


async def ask(host: str, port: int, message: bytes = b"hello") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(message)
    writer.write_eof()
    try:
        return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_what_listens_for_a_service_passes_on_to_a_ready_pod(server, nodes, tmp_path):
    admin, namespace = server
    addresses = nodes.new(tmp_path)
    ports = [{"containerPort": 9000, "name": "rest"}]
    pod = await bound_pod(
        admin, namespace, metadata={"labels": {"app": "m"}}, containers=[{"name": "main", "ports": ports}]
    )
    spec = {"selector": {"app": "m"}, "ports": [{"port": 18501, "targetPort": "rest"}]}
    await create(admin, "Service", namespace, "model", spec=spec)
    host, port = (await resolved(addresses, pod, "http://model:18501/"))[0].split(":")
    assert host != await addresses.pod_ip(pod["metadata"]["uid"])
    assert await resolved(addresses, pod, f"--host=model.{namespace}.svc") == [host]
    with pytest.raises(ConnectionResetError):
        await ask(host, int(port))

    async def answer(reader, writer):
        writer.write(b"you said " + await reader.read())
        writer.close()

    ip = await addresses.pod_ip(pod["metadata"]["uid"])
    backend = await asyncio.start_server(answer, ip, 9000)
    ready = {"podIP": ip, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    await admin.patch(PODS, "pod", {"status": ready}, namespace, subresource="status")

    async def answered():
        try:
            assert await ask(host, 18501) == b"you said hello", "named without a port: it is the service's own"
            return await ask(host, int(port))
        except OSError as error:
            raise AssertionError(error) from error

    assert await eventually(answered) == b"you said hello"
    large = b"x" * 3_000_000
    assert await ask(host, int(port), large) == b"you said " + large
    await addresses.close()
    with pytest.raises(ConnectionRefusedError):
        await ask(host, 18501)
    again = nodes.new(tmp_path)
    await again.adopt([pod])
    assert await eventually(answered) == b"you said hello", "a restarted node listens again"
    backend.close()


async def test_what_listens_for_a_service_is_not_in_a_programs_way(server, nodes, tmp_path):
    admin, namespace = server
    addresses, pod = nodes.new(tmp_path), fake_pod(namespace, "u1")
    await create(admin, "Service", namespace, "m", spec={"selector": {"a": "b"}, "ports": [{"port": 18777}]})
    first = await resolved(addresses, pod, "m:18777")
    assert await resolved(addresses, pod, f"http://m.{namespace}.svc:18777/") == first
    everywhere = await asyncio.start_server(lambda _reader, writer: writer.close(), "0.0.0.0", 18777)
    with pytest.raises(Untranslatable, match=r"m:18777"):
        await resolved(addresses, pod, f"m.{namespace}.svc")
    everywhere.close()


READY = [{"type": "Ready", "status": "True"}]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, [("127.5.0.1", 80)]),
        ({"labels": {"app": "n"}}, []),
        ({"conditions": []}, []),
        ({"podIP": None}, []),
        ({"phase": "Succeeded"}, []),
        ({"deletionTimestamp": "now"}, []),
        ({"targetPort": "rest"}, [("127.5.0.1", 9000)]),
        ({"targetPort": "nobody"}, []),
        ({"selector": {}}, []),
        ({"conditions": [], "publishNotReadyAddresses": True}, [("127.5.0.1", 80)]),
    ],
)
def test_who_answers_for_a_service(changes, found):
    value = {
        "labels": {"app": "m", "x": "y"},
        "conditions": READY,
        "podIP": "127.5.0.1",
        "phase": "Running",
        **changes,
    }
    pod = {
        "metadata": {"labels": value["labels"], "deletionTimestamp": value.get("deletionTimestamp")},
        "spec": {"containers": [{"ports": [{"name": "rest", "containerPort": 9000}]}]},
        "status": {key: value[key] for key in ("conditions", "podIP", "phase")},
    }
    entry = {"port": 80, **({"targetPort": value["targetPort"]} if "targetPort" in value else {})}
    service = {
        "spec": {
            "selector": value.get("selector", {"app": "m"}),
            "ports": [entry],
            "publishNotReadyAddresses": value.get("publishNotReadyAddresses", False),
        }
    }
    assert backends(service, [pod], 80) == found
    assert backends(service, [pod], 81) == []
