"""Creates a PersistentVolume and a directory `<volumes_root>/<namespace>/<claim>` for each claim.

Serves storage classes with the provisioner `kf-spawner.io/directory`, with its own identity. A crash at any step is
safe: names are deterministic, the directory exists before its volume, a removal starts with a rename, and each round
reads the current state. It never gives the data of a directory to another claim, and never hides old data.
"""

import asyncio
import logging
import os
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from kf_spawner.kube import AlreadyExists, ApiError, Client, EventRecorder, Informer, NotFound
from kf_spawner.kube.resources import CLAIMS, STORAGECLASSES, VOLUMES

from .atomic_dir import remove_tree
from .claims import PROVISIONED_BY, PROVISIONER, volume_path

log = logging.getLogger(__name__)

COMPONENT = "kf-spawner-provisioner"
TRASH = ".trash"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
RETRY = 2.0
"""Seconds before the retry of a failed step."""


class Refused(Exception):
    """The provisioner cannot serve the claim now; the message goes into an Event."""


async def run_provisioner(client: Client, volumes_root: Path) -> None:
    """Serves claims until cancelled. `client` has its own identity, with the ClusterRole kf-spawner-provisioner."""
    async with EventRecorder(client, component=COMPONENT) as events:
        await _Provisioner(client, volumes_root.absolute(), events).run()


class _Provisioner:
    def __init__(self, client: Client, volumes_root: Path, events: EventRecorder):
        self._client = client
        self._root = volumes_root
        self._events = events
        self._changed = asyncio.Event()

    async def run(self) -> None:
        def wake(_key: str, _old: dict[str, Any] | None, _new: dict[str, Any] | None) -> None:
            self._changed.set()

        await asyncio.to_thread(self._empty_trash)
        async with AsyncExitStack() as stack:
            informers = []
            for resource in (STORAGECLASSES, CLAIMS, VOLUMES):
                informers.append(await stack.enter_async_context(Informer(self._client, resource, on_change=wake)))
            classes, claims, volumes = informers
            for informer in informers:
                await informer.synced()
            while True:
                self._changed.clear()
                done = await self._round(classes.items(), claims.items(), volumes.items())
                try:
                    async with asyncio.timeout(None if done else RETRY):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _round(
        self, classes: list[dict[str, Any]], claims: list[dict[str, Any]], volumes: list[dict[str, Any]]
    ) -> bool:
        """Does everything that is pending; False if something needs a retry."""
        done = True
        ours = {each["metadata"]["name"]: each for each in classes if each["provisioner"] == PROVISIONER}
        there = {volume["metadata"]["name"] for volume in volumes}
        for claim in claims:
            if wanted(claim, ours) and volume_name(claim) not in there:
                done &= await self._attempt(claim, self._provision(claim, ours[claim["spec"]["storageClassName"]]))
        for volume in volumes:
            if released(volume, self._root):
                done &= await self._attempt(volume, self._remove(volume))
        return done

    async def _attempt(self, obj: dict[str, Any], step: Coroutine[Any, Any, None]) -> bool:
        """Runs one step. An error becomes an Event of the object, and the step is retried."""
        try:
            await step
        except (Refused, ApiError, OSError) as error:
            said = error.message if isinstance(error, ApiError) else str(error)
            reason = "VolumeFailedDelete" if obj["kind"] == "PersistentVolume" else "ProvisioningFailed"
            self._events.event(obj, "Warning", reason, said)
            log.info("%s %s: %s", obj["kind"], obj["metadata"]["name"], said)
            return False
        return True

    async def _provision(self, claim: dict[str, Any], storage_class: dict[str, Any]) -> None:
        meta = claim["metadata"]
        path = claim_path(self._root, claim)
        # The caches may lag: ask the API who owns the directory.
        volumes = (await self._client.list(VOLUMES))["items"]
        if any(volume["metadata"]["name"] == volume_name(claim) for volume in volumes):
            return
        holder = holder_of(path, volumes, self._root)
        if holder is not None:
            raise Refused(
                f'the directory {path} holds the data of persistent volume "{holder}", which still exists: delete '
                f"that volume to give its data to this claim, or move the directory away first"
            )
        adopted = await asyncio.to_thread(_make_directory, path)
        try:
            await self._client.create(VOLUMES, new_volume(claim, storage_class, path))
        except AlreadyExists:
            return
        if adopted:
            self._events.event(
                claim, "Normal", "DirectoryAdopted", f"{path} already held files: this claim has them now"
            )
        said = f"Successfully provisioned volume {volume_name(claim)}"
        self._events.event(claim, "Normal", "ProvisioningSucceeded", said)
        log.info("claim %s/%s has the directory %s", meta["namespace"], meta["name"], path)

    async def _remove(self, volume: dict[str, Any]) -> None:
        """Removes a released volume with its data. The rename first: no pod mounts a half-removed one."""
        path = volume_path(volume, self._root)
        reference, name = volume["spec"]["claimRef"], volume["metadata"]["name"]
        assert path is not None
        try:
            claim = await self._client.get(CLAIMS, reference["name"], reference["namespace"])
        except NotFound:
            claim = None
        if claim is not None and claim["metadata"]["uid"] == reference.get("uid"):
            return  # released by mistake: its claim exists
        if not await self._is_there(volume):
            return  # already removed (the cache lags): the directory may belong to a new claim
        await asyncio.to_thread(self._throw_away, path, name)
        try:
            await self._client.delete(VOLUMES, name, uid=volume["metadata"]["uid"])
        except NotFound:
            return
        log.info("removed volume %s and its directory %s", name, path)

    async def _is_there(self, volume: dict[str, Any]) -> bool:
        try:
            found = await self._client.get(VOLUMES, volume["metadata"]["name"])
        except NotFound:
            return False
        return bool(found["metadata"]["uid"] == volume["metadata"]["uid"])

    def _throw_away(self, path: Path, volume: str) -> None:
        trash = self._root / TRASH / volume
        if path.exists():
            remove_tree(trash)
            trash.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.rename(trash)
        remove_tree(trash)

    def _empty_trash(self) -> None:
        for entry in (self._root / TRASH).glob("*"):
            remove_tree(entry)


def volume_name(claim: dict[str, Any]) -> str:
    """The name of the volume of a claim: always the same, so that a claim never gets two."""
    return f"pvc-{claim['metadata']['uid']}"


def claim_path(volumes_root: Path, claim: dict[str, Any]) -> Path:
    return volumes_root.joinpath(claim["metadata"]["namespace"], claim["metadata"]["name"])


def wanted(claim: dict[str, Any], classes: dict[str, dict[str, Any]]) -> bool:
    """Whether `claim` waits for a directory. `classes` holds our storage classes by name."""
    meta, spec = claim["metadata"], claim["spec"]
    storage_class = classes.get(spec.get("storageClassName") or "")
    if storage_class is None or meta.get("deletionTimestamp") or spec.get("volumeName"):
        return False
    if (claim.get("status") or {}).get("phase", "Pending") != "Pending":
        return False
    # A class may wait for the first pod; the scheduler then sets this annotation.
    waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
    return not waits or SELECTED_NODE in (meta.get("annotations") or {})


def released(volume: dict[str, Any], volumes_root: Path) -> bool:
    """Whether the volume is ours, its claim is gone, and its data should be removed."""
    spec = volume["spec"]
    reference = spec.get("claimRef") or {}
    return (
        (volume.get("status") or {}).get("phase") == "Released"
        and spec.get("persistentVolumeReclaimPolicy") == "Delete"
        and volume_path(volume, volumes_root)
        == volumes_root / reference.get("namespace", "") / reference.get("name", "")
    )


def holder_of(path: Path, volumes: Iterable[dict[str, Any]], volumes_root: Path) -> str | None:
    """The volume that has `path`."""
    return next((volume["metadata"]["name"] for volume in volumes if volume_path(volume, volumes_root) == path), None)


def new_volume(claim: dict[str, Any], storage_class: dict[str, Any], path: Path) -> dict[str, Any]:
    """The PersistentVolume of `claim`. Raises Refused if a directory cannot satisfy the claim."""
    meta, spec = claim["metadata"], claim["spec"]
    if spec.get("volumeMode") == "Block":
        raise Refused("volumeMode Block: a directory is not a block device; use Filesystem")
    if spec.get("dataSource") or spec.get("dataSourceRef"):
        raise Refused("dataSource: this class creates empty volumes; copy the files in a pod that mounts both claims")
    if spec.get("selector"):
        raise Refused("selector: this class creates a new volume for each claim; remove the selector")
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": "Filesystem",
            "hostPath": {"path": str(path), "type": "Directory"},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
            },
        },
    }


def _make_directory(path: Path) -> bool:
    """Creates `path` with mode 0700; True if it already existed and is not empty. Blocking."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        with os.scandir(path) as entries:
            return any(entries)
    return False
