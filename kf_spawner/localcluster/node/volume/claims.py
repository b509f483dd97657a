"""Finds the directory of a claim: the claim must be Bound, its PersistentVolume must be a directory of this node.

Knows the fields of a PersistentVolume that the provisioner writes. Creates nothing.
"""

from pathlib import Path
from typing import Any

from kf_spawner.kube import Client, NotFound
from kf_spawner.kube.resources import CLAIMS, VOLUMES

from ..common.retry_forbidden import retry_forbidden

PROVISIONER = "kf-spawner.io/directory"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


class ClaimError(Exception):
    """The pod cannot use the claim."""


def claim_name(pod: dict[str, Any], volume: dict[str, Any]) -> str | None:
    """The claim of a `persistentVolumeClaim` or generic `ephemeral` volume, else None."""
    if "persistentVolumeClaim" in volume:
        return str(volume["persistentVolumeClaim"]["claimName"])
    return f"{pod['metadata']['name']}-{volume['name']}" if "ephemeral" in volume else None


async def claim_directory(client: Client, pod: dict[str, Any], volume: dict[str, Any], volumes_root: Path) -> Path:
    """The directory behind `volume`. Raises ClaimError, or ApiError if the API server fails."""
    name, namespace = claim_name(pod, volume), pod["metadata"]["namespace"]
    assert name is not None
    try:
        claim = await retry_forbidden(lambda: client.get(CLAIMS, name, namespace))
    except NotFound as error:
        raise ClaimError(f'persistentvolumeclaim "{name}" not found') from error
    meta = claim["metadata"]
    if "ephemeral" in volume and pod["metadata"]["uid"] not in _owners(meta):
        owner = pod["metadata"]["name"]
        raise ClaimError(f'PVC {namespace}/{name} was not created for pod "{owner}"')
    if meta.get("deletionTimestamp"):
        raise ClaimError(f'persistentvolumeclaim "{name}" is being deleted')
    if (claim.get("status") or {}).get("phase") != "Bound" or not claim["spec"].get("volumeName"):
        raise ClaimError(f'persistentvolumeclaim "{name}" is not bound')
    if claim["spec"].get("volumeMode") == "Block":
        raise ClaimError(f'persistentvolumeclaim "{name}" has volumeMode Block: use Filesystem')
    try:
        volume_object = await retry_forbidden(lambda: client.get(VOLUMES, claim["spec"]["volumeName"]))
    except NotFound as error:
        raise ClaimError(f'persistentvolume "{claim["spec"]["volumeName"]}" not found') from error
    path = volume_path(volume_object, volumes_root)
    if path is None:
        raise ClaimError(
            f'persistentvolume "{volume_object["metadata"]["name"]}" is not a directory of this node: '
            f"give the claim a storage class with provisioner {PROVISIONER}",
        )
    if not path.is_dir():
        raise ClaimError(f'the directory {path} of persistentvolumeclaim "{name}" is missing: put it back')
    return path


def volume_path(volume: dict[str, Any], volumes_root: Path) -> Path | None:
    """The directory of a PersistentVolume that our provisioner made below `volumes_root`, else None."""
    by = (volume["metadata"].get("annotations") or {}).get(PROVISIONED_BY)
    path = Path((volume["spec"].get("hostPath") or {}).get("path") or "/")
    root = volumes_root.absolute()
    ours = by == PROVISIONER and ".." not in path.parts and path.is_relative_to(root) and path != root
    return path if ours else None


def _owners(meta: dict[str, Any]) -> set[str]:
    return {owner["uid"] for owner in meta.get("ownerReferences") or [] if owner.get("controller")}
