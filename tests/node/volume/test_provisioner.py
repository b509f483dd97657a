"""Claims become directories: on a real API server, with the provisioner's own rights, and killed at any moment."""

import asyncio
import contextlib
import random
import signal
import sys
import uuid
from pathlib import Path

import pytest
import yaml

from kf_spawner.kube import Client, EventRecorder, NotFound
from kf_spawner.kube.resources import (
    CLAIMS,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    EVENTS,
    STORAGECLASSES,
    VOLUMES,
)
from kf_spawner.localcluster.node.volume import provisioner as module
from kf_spawner.localcluster.node.volume.claims import PROVISIONED_BY, PROVISIONER, volume_path
from kf_spawner.localcluster.node.volume.manager import VolumeManager
from kf_spawner.localcluster.node.volume.provisioner import _Provisioner, run_provisioner
from tests.node.api_objects import NODE, bound_pod, client, create, eventually, new_namespace, node_client, remove_pod

MANIFESTS = Path(__file__).parents[3] / "kf_spawner" / "localcluster" / "manifests"
USER = "kf-spawner:provisioner"


class Claimant:
    """A namespace, a storage class of each reclaim policy, and a folder for claims."""

    def __init__(self, admin: Client, namespace: str, root: Path, kubeconfig: Path):
        self.admin = admin
        self.namespace = namespace
        self.root = root
        self.kubeconfig = kubeconfig
        self.classes = {"Delete": f"delete-{namespace}", "Retain": f"retain-{namespace}"}

    async def claim(self, name: str = "home", policy: str = "Delete", **spec) -> dict:
        body = {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
            "storageClassName": self.classes[policy],
            **spec,
        }
        return await create(self.admin, "PersistentVolumeClaim", self.namespace, name, spec=body)

    async def bound(self, name: str = "home") -> dict:
        async def check():
            claim = await self.admin.get(CLAIMS, name, self.namespace)
            return claim if claim["status"]["phase"] == "Bound" else None

        return await eventually(check)

    async def gone(self, volume: str) -> None:
        async def check():
            try:
                await self.admin.get(VOLUMES, volume)
            except NotFound:
                return True

        await eventually(check)

    async def remove(self, name: str = "home") -> None:
        await self.admin.delete(CLAIMS, name, self.namespace)

    async def said(self, reason: str) -> str:
        async def check():
            events = (await self.admin.list(EVENTS, self.namespace))["items"]
            return next((event["message"] for event in events if event["reason"] == reason), None)

        return await eventually(check)

    def directory(self, name: str = "home") -> Path:
        return self.root / self.namespace / name


@pytest.fixture
async def claimant(control_plane, tmp_path):
    async with client(control_plane.admin_kubeconfig) as admin:
        namespace = await new_namespace(admin)
        role = yaml.safe_load((MANIFESTS / "rbac-provisioner.yaml").read_text())
        await admin.apply(CLUSTERROLES, role, field_manager="test")
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "test-provisioner"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": role["metadata"]["name"],
            },
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        }
        await admin.apply(CLUSTERROLEBINDINGS, binding, field_manager="test")
        claimant = Claimant(admin, namespace, tmp_path / "volumes", control_plane.kubeconfig(USER))
        shipped = yaml.safe_load((MANIFESTS / "storageclass.yaml").read_text())
        for policy, name in claimant.classes.items():
            body = {**shipped, "metadata": {"name": name}, "reclaimPolicy": policy}
            assert body["provisioner"] == PROVISIONER
            await admin.create(STORAGECLASSES, body)
        yield claimant
        for name in claimant.classes.values():
            await admin.delete(STORAGECLASSES, name)


@contextlib.asynccontextmanager
async def provisioner(claimant: Claimant):
    async with client(claimant.kubeconfig) as own:
        task = asyncio.create_task(run_provisioner(own, claimant.root))
        try:
            yield task
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_a_claim_is_a_private_directory_that_a_pod_finds_and_that_goes_with_the_claim(
    claimant, control_plane, tmp_path
):
    async with provisioner(claimant), node_client(control_plane) as node:
        await claimant.claim()
        claim = await claimant.bound()
        assert claim["spec"]["volumeName"] == f"pvc-{claim['metadata']['uid']}"
        assert claimant.directory().stat().st_mode & 0o777 == 0o700
        assert (await claimant.said("ProvisioningSucceeded")).endswith(claim["spec"]["volumeName"])
        volume = {"name": "v", "persistentVolumeClaim": {"claimName": "home"}}
        pod = await bound_pod(claimant.admin, claimant.namespace, volumes=[volume])
        manager = VolumeManager(node, tmp_path / "node", claimant.root, NODE)
        assert (await manager.prepare(pod))["v"] == claimant.directory()
        (claimant.directory() / "file").write_text("x")
        await manager.cleanup(pod)
        assert (claimant.directory() / "file").exists(), "a pod's end is not a claim's"
        await remove_pod(claimant.admin, pod)
        await claimant.remove()
        await claimant.gone(claim["spec"]["volumeName"])
        assert not claimant.directory().exists()
        assert list((claimant.root / ".trash").iterdir()) == []


async def test_a_retained_directory_is_not_given_to_another_claim_until_its_volume_is_deleted(claimant):
    async with provisioner(claimant):
        await claimant.claim(policy="Retain")
        first = await claimant.bound()
        (claimant.directory() / "precious").write_text("x")
        await claimant.remove()

        async def released():
            volume = await claimant.admin.get(VOLUMES, first["spec"]["volumeName"])
            return volume["status"]["phase"] == "Released"

        await eventually(released)
        await claimant.claim(policy="Retain")
        message = await claimant.said("ProvisioningFailed")
        assert first["spec"]["volumeName"] in message
        assert "delete that volume" in message
        assert (await claimant.admin.get(CLAIMS, "home", claimant.namespace))["status"]["phase"] == "Pending"
        await claimant.admin.delete(VOLUMES, first["spec"]["volumeName"])
        await claimant.bound()
        assert (claimant.directory() / "precious").exists(), "never an empty home where an older one is"
        assert str(claimant.directory()) in await claimant.said("DirectoryAdopted")


async def test_a_claim_created_again_while_the_old_one_is_deleted_gets_an_empty_directory(claimant):
    async with provisioner(claimant):
        await claimant.claim()
        first = await claimant.bound()
        (claimant.directory() / "old").write_text("x")
        await claimant.remove()
        await eventually(claimant.claim)  # refused until the old one is gone
        second = await claimant.bound()
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert list(claimant.directory().iterdir()) == []


async def test_a_cache_that_lags_removes_no_directory_of_the_next_claim(claimant):
    async with provisioner(claimant):
        await claimant.claim()
        volume = await claimant.admin.get(VOLUMES, (await claimant.bound())["spec"]["volumeName"])
        await claimant.remove()
        await claimant.gone(volume["metadata"]["name"])
        await eventually(claimant.claim)
        await claimant.bound()
    (claimant.directory() / "precious").write_text("x")
    late = {**volume, "status": {"phase": "Released"}}
    async with client(claimant.kubeconfig) as own, EventRecorder(own, component="test") as events:
        assert await _Provisioner(own, claimant.root, events)._round([], [], [late])
    assert (claimant.directory() / "precious").read_text() == "x"


@pytest.mark.parametrize(
    ("spec", "said"),
    [({"volumeMode": "Block"}, "volumeMode"), ({"selector": {"matchLabels": {"a": "b"}}}, "selector")],
)
async def test_what_a_directory_cannot_be_is_said_on_the_claim(claimant, spec, said):
    async with provisioner(claimant):
        await claimant.claim(**spec)
        assert said in await claimant.said("ProvisioningFailed")
        assert not claimant.directory().exists() or list(claimant.directory().iterdir()) == []


async def test_claims_of_other_classes_are_left_alone(claimant):
    async with provisioner(claimant):
        await claimant.claim("other", storageClassName="somebody-elses")
        await claimant.claim("mine")
        await claimant.bound("mine")
        assert not claimant.directory("other").exists()


async def test_a_directory_is_never_removed_while_its_claim_is_there(claimant):
    async with provisioner(claimant):
        await claimant.claim()
        claim = await claimant.bound()
    (claimant.directory() / "precious").write_text("x")
    volume = await claimant.admin.get(VOLUMES, claim["spec"]["volumeName"])
    async with client(claimant.kubeconfig) as own:
        # As if the volume had been shown as Released by mistake.
        await _Provisioner(own, claimant.root, EventRecorder(own, component="test"))._remove(volume)
    assert (claimant.directory() / "precious").exists()
    assert await claimant.admin.get(VOLUMES, claim["spec"]["volumeName"])


def test_a_half_removed_directory_is_where_no_claim_finds_it(tmp_path, monkeypatch):
    directory = tmp_path / "n" / "home"
    directory.mkdir(parents=True)
    (directory / "file").write_text("x")
    removed = []

    def crash(path):
        removed.append(path)
        if path.exists():
            raise OSError("killed")

    monkeypatch.setattr(module, "remove_tree", crash)
    provisioner = _Provisioner(None, tmp_path, None)
    with pytest.raises(OSError, match="killed"):
        provisioner._throw_away(directory, "pvc-1")
    assert not directory.exists()
    assert (tmp_path / ".trash" / "pvc-1" / "file").exists()
    monkeypatch.undo()
    provisioner._throw_away(directory, "pvc-1")
    assert list((tmp_path / ".trash").iterdir()) == []


@pytest.mark.parametrize(
    ("path", "by", "ours"),
    [
        ("n/home", PROVISIONER, True),
        ("n/home", None, False),
        ("n/home", "example.org/nfs", False),
        ("", PROVISIONER, False),
        ("n/../../etc", PROVISIONER, False),
        ("/etc", PROVISIONER, False),
    ],
)
def test_which_volumes_are_ours(tmp_path, path, by, ours):
    volume = {
        "metadata": {"annotations": {PROVISIONED_BY: by} if by else None},
        "spec": {"hostPath": {"path": str(tmp_path / path)}},
    }
    assert volume_path(volume, tmp_path) == ((tmp_path / path) if ours else None)


CHILD = """
import asyncio, sys
from pathlib import Path
from kf_spawner.kube import Client, load_config
from kf_spawner.localcluster.node.volume.provisioner import run_provisioner

async def main():
    async with Client(load_config(sys.argv[1]), user_agent="test") as client:
        await run_provisioner(client, Path(sys.argv[2]))

asyncio.run(main())
"""


async def test_killed_at_any_moment_each_claim_gets_one_directory_and_each_deleted_one_goes(claimant):
    kept, dropped = [f"kept-{n}" for n in range(12)], [f"dropped-{n}" for n in range(12)]
    done = asyncio.Event()

    async def child_after_child():
        while not done.is_set():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", CHILD, str(claimant.kubeconfig), str(claimant.root)
            )
            try:
                async with asyncio.timeout(random.uniform(0.3, 1.2)):
                    await process.wait()
            except TimeoutError:
                process.send_signal(signal.SIGKILL)
            await process.wait()

    killer = asyncio.create_task(child_after_child())
    try:
        for first, second in zip(kept, dropped, strict=True):
            await claimant.claim(first)
            await claimant.claim(second)
        for name in dropped:
            await claimant.bound(name)
            (claimant.directory(name) / uuid.uuid4().hex).write_text("x")
            await claimant.remove(name)
        for name in kept:
            await claimant.bound(name)
    finally:
        done.set()
        await killer
    async with provisioner(claimant):

        async def settled():
            volumes = (await claimant.admin.list(VOLUMES))["items"]
            ours = [each for each in volumes if each["spec"]["claimRef"]["namespace"] == claimant.namespace]
            return sorted(each["spec"]["claimRef"]["name"] for each in ours) == sorted(kept)

        await eventually(settled)
    assert sorted(path.name for path in (claimant.root / claimant.namespace).iterdir()) == sorted(kept)
    assert not list((claimant.root / ".trash").glob("*"))
