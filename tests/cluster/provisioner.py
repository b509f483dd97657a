"""Claims of the class `standard` become directories that every node sees; an event refuses those of `refusing`.

The volumes are `local` ones, for which a kubelet applies a pod's fsGroup (for `hostPath` it does not).
"""

import asyncio
import logging
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

from kf_spawner.kube import AlreadyExists, ApiError, Client, EventRecorder, Informer, NotFound, load_config
from kf_spawner.kube.resources import CLAIMS, STORAGECLASSES, VOLUMES
from kf_spawner.localcluster.node.volume.provisioner import volume_name, wanted

log = logging.getLogger(__name__)

COMPONENT = "cluster-provisioner"
DIRECTORY = "cluster.kf-spawner.io/directory"
REFUSING = "cluster.kf-spawner.io/refusing"
REFUSAL = "the storage backend has no capacity left for this claim"
RETRY = 2.0
"""Seconds until what failed is tried again."""


async def serve(kubeconfig: Path, folder: Path) -> None:
    """Serve claims until cancelled; each gets a directory in `folder`."""
    changed = asyncio.Event()

    def wake(_key: str, _old: dict | None, _new: dict | None) -> None:
        changed.set()

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(load_config(kubeconfig), user_agent=COMPONENT))
        events = await stack.enter_async_context(EventRecorder(client, component=COMPONENT))
        informers = [
            await stack.enter_async_context(Informer(client, resource, on_change=wake))
            for resource in (STORAGECLASSES, CLAIMS, VOLUMES)
        ]
        for informer in informers:
            await informer.synced()
        classes, claims, volumes = informers
        while True:
            changed.clear()
            try:
                await _round(client, events, folder, classes.items(), claims.items(), volumes.items())
            except (ApiError, OSError):
                log.exception("tried again in %s s", RETRY)
                await asyncio.sleep(RETRY)
                continue
            await changed.wait()


async def _round(
    client: Client,
    events: EventRecorder,
    folder: Path,
    classes: list[dict],
    claims: list[dict],
    volumes: list[dict],
) -> None:
    there = {volume["metadata"]["name"] for volume in volumes}
    ours, refusing = (
        {each["metadata"]["name"]: each for each in classes if each["provisioner"] == provisioner}
        for provisioner in (DIRECTORY, REFUSING)
    )
    for claim in claims:
        if wanted(claim, refusing):
            events.event(claim, "Warning", "ProvisioningFailed", REFUSAL)
        if wanted(claim, ours) and volume_name(claim) not in there:
            path = folder / claim["metadata"]["namespace"] / volume_name(claim)
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            try:
                await client.create(VOLUMES, volume(claim, path))
            except AlreadyExists:
                continue
    for each in volumes:
        if to_remove(each, ours):
            await asyncio.to_thread(shutil.rmtree, each["spec"]["local"]["path"], ignore_errors=True)
            try:
                await client.delete(VOLUMES, each["metadata"]["name"])
            except NotFound:
                continue


def to_remove(volume: dict, classes: dict[str, dict]) -> bool:
    """Whether the volume is of one of `classes`, its claim is gone and its data is to go, too."""
    spec = volume["spec"]
    return (
        spec.get("storageClassName") in classes
        and "local" in spec
        and spec["persistentVolumeReclaimPolicy"] == "Delete"
        and (volume.get("status") or {}).get("phase") == "Released"
    )


def volume(claim: dict, path: Path) -> dict:
    """The PersistentVolume of `claim`: a directory that is the same one on every Linux node."""
    meta, spec = claim["metadata"], claim["spec"]
    linux = {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {"pv.kubernetes.io/provisioned-by": DIRECTORY}},
        "spec": {
            "accessModes": spec["accessModes"],
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [linux]}},
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": spec["storageClassName"],
            "volumeMode": "Filesystem",
        },
    }
