"""A container's command, environment and directory as its process gets them, from objects on a real API server."""

import asyncio
import contextlib
import json
import uuid
from types import SimpleNamespace

import pytest

from kf_spawner.kube.resources import SERVICES
from kf_spawner.localcluster.node.container.environment import (
    ContainerConfigError,
    ImageEnvironment,
    Untranslatable,
    build_container,
)
from kf_spawner.localcluster.node.network.addresses import Addresses
from kf_spawner.localcluster.node.volume.manager import VolumeManager
from kf_spawner.localcluster.node.volume.mounts import Mount
from kf_spawner.localcluster.node.volume.tokens import ACCOUNT_MOUNT
from tests.node.api_objects import NODE, bound_pod, client, create, new_namespace, node_client

IMAGE = ImageEnvironment(
    env={"PATH": "/home/jovyan/.packages/bin:/opt/image/bin:/usr/bin", "PYTHONUSERBASE": "/home/jovyan/.packages"},
    entrypoint=["/opt/image/bin/tini", "--"],
    cmd=["start", "0.0.0.0"],
    workdir="/home/jovyan",
    home="/home/jovyan",
)


@pytest.fixture
async def server(control_plane, tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        admin = await stack.enter_async_context(client(control_plane.admin_kubeconfig))
        node = await stack.enter_async_context(node_client(control_plane))
        (tmp_path / "home").mkdir()
        addresses = Addresses(node, tmp_path)
        stack.push_async_callback(addresses.close)
        yield SimpleNamespace(
            admin=admin,
            node=node,
            namespace=await new_namespace(admin),
            addresses=addresses,
            root=tmp_path,
            home=Mount("/home/jovyan", tmp_path / "home"),
        )


async def built(server, container: dict | None = None, *, mounts=None, image=IMAGE, pod: dict | None = None, **spec):
    """What is to be started for the only container of a pod."""
    containers = [{"name": "main", **(container or {})}]
    pod = pod or await bound_pod(
        server.admin, server.namespace, f"pod-{uuid.uuid4().hex[:8]}", containers=containers, **spec
    )
    return await build_container(
        server.node,
        pod,
        pod["spec"]["containers"][0],
        image_env=image,
        mounts=[server.home] if mounts is None else mounts,
        addresses=server.addresses,
        pod_ip="127.7.0.9",
        host_ip="127.0.0.1",
        scratch=server.root / "scratch",
        termination_log=server.root / "end",
    )


async def test_values_references_and_escapes(server):
    await create(server.admin, "ConfigMap", server.namespace, "config", data={"a": "1", "b": "two"})
    await create(server.admin, "Secret", server.namespace, "secret", stringData={"password": "p$(A)"})
    env = [
        {"name": "A", "value": "a"},
        {"name": "AA", "value": "$(A)$(LATER)$$(A)"},
        {"name": "LATER", "value": "x"},
        {"name": "C_AGAIN", "value": "$(C_b)"},
        {"name": "EMPTY"},
        {"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "a"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "nobody", "key": "a", "optional": True}}},
        {"name": "NO_KEY", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "x", "optional": True}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
        {"name": "C_a", "value": "mine"},
    ]
    env_from = [
        {"prefix": "C_", "configMapRef": {"name": "config"}},
        {"secretRef": {"name": "nobody", "optional": True}},
    ]
    container = {"env": env, "envFrom": env_from, "resources": {"limits": {"memory": "1Gi"}}}

    found = (await built(server, container)).env
    expected = {
        "A": "a",
        "AA": "a$(LATER)$(A)",
        "C_AGAIN": "two",
        "EMPTY": "",
        "KEY": "1",
        "PASSWORD": "p$(A)",
        "IP": "127.7.0.9",
        "CPU": "4",
        "MEMORY": "1024",
        "C_a": "mine",
        "C_b": "two",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "NONE" not in found
    assert "NO_KEY" not in found
    assert found["NAME"] == found["HOSTNAME"]


@pytest.mark.parametrize(
    ("container", "said"),
    [
        ({"envFrom": [{"configMapRef": {"name": "nobody"}}]}, 'configmap "nobody" not found'),
        ({"envFrom": [{"secretRef": {"name": "nobody"}}]}, 'secret "nobody" not found'),
        (
            {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "k"}}}]},
            "couldn't find key k in ConfigMap",
        ),
        ({"args": ["--peer=late.NAMESPACE.svc:1"]}, 'waiting for service "late"'),
        ({"workingDir": "here"}, "must begin with /"),
    ],
)
async def test_what_is_not_there_is_a_configuration_error(server, container, said):
    container = json.loads(json.dumps(container).replace("NAMESPACE", server.namespace))
    with pytest.raises(ContainerConfigError) as caught:
        await built(server, container)
    assert said in str(caught.value)


async def test_an_image_without_a_command_and_a_pod_without_one(server):
    empty = ImageEnvironment(env={}, entrypoint=[], cmd=[], workdir="", home="")
    with pytest.raises(ContainerConfigError, match="neither the image nor the pod"):
        await built(server, image=empty)


@pytest.mark.parametrize(
    ("container", "argv"),
    [
        ({}, ["/opt/image/bin/tini", "--", "start", "0.0.0.0"]),
        ({"args": ["run", "$(A)"]}, ["/opt/image/bin/tini", "--", "run", "a"]),
        ({"command": ["python", "/home/jovyan/x.py"]}, ["python", "HOME/x.py"]),
        ({"command": ["sh", "-c"], "args": ["serve 0.0.0.0"]}, ["sh", "-c", "serve 127.7.0.9"]),
    ],
)
async def test_command_and_arguments(server, container, argv):
    spec = await built(server, {"env": [{"name": "A", "value": "a"}], **container})
    assert spec.argv == [word.replace("HOME", str(server.home.host_path)) for word in argv]


async def test_nothing_of_the_nodes_environment_leaks_but_what_the_machine_is(server, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_NODE", "x")
    monkeypatch.setenv("KUBECONFIG", "/admin")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ca.crt")
    env = (await built(server, automountServiceAccountToken=False)).env
    assert "SECRET_OF_THE_NODE" not in env
    assert "KUBECONFIG" not in env
    assert (env["TZ"], env["SSL_CERT_FILE"]) == ("Europe/Berlin", "/etc/ca.crt")
    assert set(env) <= {"TZ", "LANG", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PATH", "PYTHONUSERBASE", "HOME",
                        "HOSTNAME", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "KUBERNETES_SERVICE_HOST",
                        "KUBERNETES_SERVICE_PORT", "KUBERNETES_SERVICE_PORT_HTTPS"}  # fmt: skip


async def test_home_and_working_directory_are_the_volume_or_a_folder_of_the_containers_own(server):
    home = str(server.home.host_path)
    spec = await built(server)
    assert (spec.env["HOME"], spec.cwd) == (home, home)
    assert spec.env["PATH"] == f"{home}/.packages/bin:/opt/image/bin:/usr/bin"
    assert spec.env["PYTHONUSERBASE"] == f"{home}/.packages"
    below = await built(server, {"workingDir": "/home/jovyan/new/folder"})
    assert below.cwd == f"{home}/new/folder"
    assert (server.home.host_path / "new" / "folder").is_dir()
    scratch = server.root / "scratch"
    bare = await built(server, {"workingDir": "/app", "args": ["--in=/app/x"]}, mounts=[])
    assert (bare.env["HOME"], bare.cwd) == (str(scratch / "home/jovyan"), str(scratch / "app"))
    assert bare.argv[-1] == f"--in={scratch}/app/x"
    assert bare.directories["/app"] == str(scratch / "app")
    tmp = await built(server, {"workingDir": "/tmp"}, mounts=[Mount("/tmp", server.root / "home")])
    assert tmp.cwd == "/tmp", "programs use /tmp by themselves, so it stays what it is"


async def test_the_path_of_a_termination_message_is_a_file(server):
    spec = await built(server, {"args": ["echo x >/dev/termination-log"]})
    assert spec.argv[-1] == f"echo x >{server.root / 'end'}"
    own = await built(server, {"args": ["/tmp/log /dev/termination-log"], "terminationMessagePath": "/tmp/log"})
    assert own.argv[-1] == f"{server.root / 'end'} /dev/termination-log"


async def test_a_pod_with_an_account_finds_the_api_server(server, control_plane):
    manager = VolumeManager(server.node, server.root / "node", server.root / "volumes", NODE)
    for container, expected in (({}, None), ({"env": [{"name": "KUBECONFIG", "value": "/mine"}]}, "/mine")):
        containers = [{"name": "main", **container}]
        pod = await bound_pod(server.admin, server.namespace, "mine" if expected else "p", containers=containers)
        volumes = await manager.prepare(pod)
        mounts = manager.mounts(pod, pod["spec"]["containers"][0], volumes)
        env = (await built(server, pod=pod, mounts=mounts)).env
        assert f"https://{env['KUBERNETES_SERVICE_HOST']}:{env['KUBERNETES_SERVICE_PORT']}" == control_plane.server
        account = next(mount.host_path for mount in mounts if mount.mount_path == ACCOUNT_MOUNT)
        assert env["KUBECONFIG"] == (expected or str(account.parent.parent / "kubeconfigs" / account.name))


async def test_all_members_of_a_cluster_see_the_same_addresses(server):
    for index in range(2):
        spec = {"clusterIP": "None", "selector": {"index": str(index)}, "ports": [{"port": 2222}]}
        await create(server.admin, "Service", server.namespace, f"job-worker-{index}", spec=spec)
    hosts = ", ".join(f'"job-worker-{index}.{server.namespace}.svc:2222"' for index in range(2))
    env = [{"name": "TF_CONFIG", "value": f'{{"cluster": {{"worker": [{hosts}]}}}}'}]
    seen = {(await built(server, {"env": env, "args": [str(index)]})).env["TF_CONFIG"] for index in range(2)}
    assert len(seen) == 1
    assert seen.pop().count("127.0.0.1:") == 2
    with pytest.raises(Untranslatable, match="without a port"):
        await built(server, {"args": [f"job-worker-0.{server.namespace}.svc"]})


async def test_services_of_the_namespace_are_in_the_environment_unless_the_pod_says_no(server):
    ports = [{"port": 18600, "name": "rest-api"}, {"port": 18601, "name": "grpc"}]
    await create(server.admin, "Service", server.namespace, "my-model", spec={"selector": {"a": "b"}, "ports": ports})
    env = (await built(server)).env
    assert env["MY_MODEL_SERVICE_HOST"].startswith("127.")
    assert env["MY_MODEL_SERVICE_PORT"] == env["MY_MODEL_SERVICE_PORT_REST_API"]
    assert env["MY_MODEL_SERVICE_PORT"] != env["MY_MODEL_SERVICE_PORT_GRPC"]
    for name in ("MY_MODEL_SERVICE_PORT", "MY_MODEL_SERVICE_PORT_GRPC"):
        _reader, writer = await asyncio.open_connection(env["MY_MODEL_SERVICE_HOST"], int(env[name]))
        writer.close()
    assert "MY_MODEL_SERVICE_HOST" not in (await built(server, enableServiceLinks=False)).env
    await server.admin.delete(SERVICES, "my-model", server.namespace)
