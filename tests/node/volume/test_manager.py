"""Volumes on a real API server, with a kubelet's rights: what is in them, that they stay true, and how they go."""

import asyncio
import base64
import json
import os
import time

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLAIMS, CONFIGMAPS
from kf_spawner.localcluster.node.volume.manager import VolumeError, VolumeManager
from kf_spawner.localcluster.node.volume.tokens import ACCOUNT_MOUNT, kubeconfig_path, renewal_due
from tests.node.api_objects import NODE, bound_pod, client, create, eventually, new_namespace, node_client


@pytest.fixture
async def server(control_plane, tmp_path):
    """admin, namespace, manager"""
    async with client(control_plane.admin_kubeconfig) as admin, node_client(control_plane) as node:
        namespace = await new_namespace(admin)
        yield admin, namespace, VolumeManager(node, tmp_path / "node", tmp_path / "volumes", NODE)


async def failure(manager: VolumeManager, pod: dict) -> VolumeError:
    with pytest.raises(VolumeError) as caught:
        await manager.prepare(pod)
    return caught.value


async def test_config_maps_and_secrets_with_items_modes_and_bytes(server):
    admin, namespace, manager = server
    await create(
        admin,
        "ConfigMap",
        namespace,
        "config",
        data={"a.txt": "é", "b": "two"},
        binaryData={"raw": base64.b64encode(b"\xff\0").decode()},
    )
    await create(admin, "Secret", namespace, "secret", stringData={"password": "p"})
    pod = await bound_pod(
        admin,
        namespace,
        volumes=[
            {"name": "all", "configMap": {"name": "config"}},
            {"name": "one", "configMap": {"name": "config", "items": [{"key": "b", "path": "x/b", "mode": 0o400}]}},
            {"name": "secret", "secret": {"secretName": "secret", "defaultMode": 0o600}},
            {"name": "none", "secret": {"secretName": "nobody", "optional": True}},
        ],
    )
    volumes = await manager.prepare(pod)
    assert {path.name for path in volumes["all"].iterdir() if not path.name.startswith("..")} == {"a.txt", "b", "raw"}
    assert (volumes["all"] / "a.txt").read_text() == "é"
    assert (volumes["all"] / "raw").read_bytes() == b"\xff\0"
    assert (volumes["one"] / "x" / "b").read_text() == "two"
    assert (volumes["one"] / "x" / "b").stat().st_mode & 0o777 == 0o400
    assert (volumes["secret"] / "password").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in volumes["none"].iterdir() if not path.name.startswith("..")] == []
    assert all(path.stat().st_mode & 0o077 == 0 for path in volumes.values()), "nobody else may look"


@pytest.mark.parametrize(
    ("volume", "said"),
    [
        ({"configMap": {"name": "nobody"}}, 'configmap "nobody" not found'),
        ({"secret": {"secretName": "nobody"}}, 'secret "nobody" not found'),
        (
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "k", "path": "p"}]}},
            "references non-existent config key: k",
        ),
        ({"persistentVolumeClaim": {"claimName": "nobody"}}, 'persistentvolumeclaim "nobody" not found'),
    ],
)
async def test_what_is_missing_is_said_as_a_kubelet_says_it(server, volume, said):
    admin, namespace, manager = server
    pod = await bound_pod(admin, namespace, volumes=[{"name": "v", **volume}])
    error = await failure(manager, pod)
    assert error.message.startswith('MountVolume.SetUp failed for volume "v" : ')
    assert said in error.message
    assert error.reason == "FailedMount"


async def test_a_config_map_that_comes_later_is_found_and_its_changes_are_seen(server):
    admin, namespace, manager = server
    pod = await bound_pod(admin, namespace, volumes=[{"name": "v", "configMap": {"name": "late"}}])
    await failure(manager, pod)
    await create(admin, "ConfigMap", namespace, "late", data={"k": "1"})
    volumes = await manager.prepare(pod)
    assert (volumes["v"] / "k").read_text() == "1"
    await admin.patch(CONFIGMAPS, "late", {"data": {"k": "2", "n": "new"}}, namespace)
    await manager.refresh(pod)
    assert (volumes["v"] / "k").read_text() == "2"
    assert (volumes["v"] / "n").read_text() == "new"
    await admin.delete(CONFIGMAPS, "late", namespace)
    with pytest.raises(VolumeError, match='configmap "late" not found'):
        await manager.refresh(pod)
    assert (volumes["v"] / "k").read_text() == "2", "what was written last stays"


async def test_the_pods_own_fields_follow_the_pod(server):
    admin, namespace, manager = server
    items = [
        {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
        {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
    ]
    pod = await bound_pod(
        admin,
        namespace,
        metadata={"labels": {"a": "1"}},
        volumes=[{"name": "me", "downwardAPI": {"items": items}}],
    )
    volumes = await manager.prepare(pod)
    assert (volumes["me"] / "labels").read_text() == 'a="1"'
    assert (volumes["me"] / "cpu").read_text() == "4000"
    pod["metadata"]["labels"]["a"] = "2"
    await manager.refresh(pod)
    assert (volumes["me"] / "labels").read_text() == 'a="2"'


def account(pod: dict) -> tuple[str, str]:
    """The volume that admission gave the pod for its account, and where it is mounted."""
    mount = next(m for m in pod["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == ACCOUNT_MOUNT)
    return mount["name"], mount["mountPath"]


async def test_the_accounts_token_is_the_pods_and_a_kubeconfig_leads_to_the_server(server):
    admin, namespace, manager = server
    pod = await bound_pod(admin, namespace)
    name, mount_path = account(pod)
    volumes = await manager.prepare(pod)
    assert sorted(path.name for path in volumes[name].iterdir() if path.name[:2] != "..") == [
        "ca.crt",
        "namespace",
        "token",
    ]
    assert (volumes[name] / "namespace").read_text() == namespace
    assert (volumes[name] / "token").stat().st_mode & 0o777 == 0o600
    config = load_config(kubeconfig_path(volumes[name]))
    assert config.namespace == namespace
    assert kubeconfig_path(volumes[name]).stat().st_mode & 0o777 == 0o600
    async with Client(config, user_agent="test") as own:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await own.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", body=review)
    user = answer["status"]["userInfo"]
    assert user["username"] == f"system:serviceaccount:{namespace}:default"
    assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [pod["metadata"]["uid"]]
    mounts = manager.mounts(pod, pod["spec"]["containers"][0], volumes)
    assert [(mount.mount_path, mount.host_path) for mount in mounts] == [(mount_path, volumes[name])]


async def test_a_token_is_kept_while_it_is_good_and_replaced_when_it_is_due(server):
    admin, namespace, manager = server
    pod = await bound_pod(admin, namespace)
    token = (await manager.prepare(pod))[account(pod)[0]] / "token"
    first = token.read_bytes()
    assert not renewal_due(first)
    await manager.refresh(pod)
    assert token.read_bytes() == first
    claims = json.loads(base64.urlsafe_b64decode(first.split(b".")[1] + b"=="))
    life = claims["kubernetes.io"]["warnafter"] - claims["iat"]
    assert not renewal_due(first, now=claims["iat"] + life * 0.79)
    assert renewal_due(first, now=claims["iat"] + life * 0.81)
    old = {"iat": time.time() - 1000, "exp": time.time() + 10}
    expiring = b"e30." + base64.urlsafe_b64encode(json.dumps(old).encode()).rstrip(b"=") + b".x"
    os.chmod(token, 0o600)
    token.resolve().write_bytes(expiring)
    await manager.refresh(pod)
    assert token.read_bytes() not in (first, expiring)
    assert not renewal_due(token.read_bytes())


async def test_an_empty_dir_goes_with_the_pod_and_what_others_own_stays(server, tmp_path):
    admin, namespace, manager = server
    pod = await bound_pod(
        admin, namespace, volumes=[{"name": "a", "emptyDir": {}}, {"name": "m", "emptyDir": {"medium": "Memory"}}]
    )
    volumes = await manager.prepare(pod)
    (volumes["a"] / "file").write_text("x")
    assert (await manager.prepare(pod))["a"] == volumes["a"]
    assert (volumes["a"] / "file").read_text() == "x", "a second time changes nothing"
    (tmp_path / "precious").mkdir()
    (volumes["m"] / "link").symlink_to(tmp_path / "precious")
    await manager.cleanup(pod)
    await manager.cleanup(pod)
    assert not volumes["a"].exists()
    assert not kubeconfig_path(volumes[account(pod)[0]]).exists()
    assert (tmp_path / "precious").exists()


async def test_a_volume_of_somebody_elses_storage_is_refused(server, tmp_path):
    admin, namespace, manager = server
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": ""}
    await create(admin, "PersistentVolumeClaim", namespace, "c", spec=claim)
    pod = await bound_pod(admin, namespace, volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}])
    assert 'persistentvolumeclaim "c" is not bound' in (await failure(manager, pod)).message
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": str(tmp_path)}}
    await create(admin, "PersistentVolume", None, f"pv-{namespace}", spec=spec)
    await admin.patch(CLAIMS, "c", {"spec": {"volumeName": f"pv-{namespace}"}}, namespace)

    async def refused():
        return "is not a directory of this node" in (await failure(manager, pod)).message

    await eventually(refused)


async def test_a_sub_path_that_leads_out_is_a_configuration_error(server):
    admin, namespace, manager = server
    mount = {"name": "a", "mountPath": "/a", "subPath": "out/x"}
    pod = await bound_pod(
        admin,
        namespace,
        containers=[{"name": "main", "volumeMounts": [mount]}],
        volumes=[{"name": "a", "emptyDir": {}}],
    )
    volumes = await manager.prepare(pod)
    (volumes["a"] / "out").symlink_to("/")
    with pytest.raises(VolumeError, match="leads out of its volume"):
        manager.mounts(pod, pod["spec"]["containers"][0], volumes)


async def test_two_pods_of_one_account_have_tokens_of_their_own(server):
    admin, namespace, manager = server
    pods = [await bound_pod(admin, namespace, f"pod-{number}") for number in range(2)]
    directories = await asyncio.gather(*(manager.prepare(pod) for pod in pods))
    tokens = {(found[account(pod)[0]] / "token").read_bytes() for pod, found in zip(pods, directories, strict=True)}
    assert len(tokens) == 2
