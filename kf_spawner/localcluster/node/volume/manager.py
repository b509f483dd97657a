"""Creates the volumes of a pod as directories, keeps them up to date and removes them with the pod.

Owns `<root>/pods/<uid>/volumes` and `<root>/pods/<uid>/kubeconfigs`. The directories of claims belong to the
provisioner: this module never removes them. It keeps no state in memory, so a restarted node can continue.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kf_spawner.kube import ApiError, Client

from ..common import layout
from .atomic_dir import remove_tree, write_payload
from .claims import ClaimError, claim_directory, claim_name
from .mounts import Mount, MountError, container_mounts
from .payloads import KINDS, SourceError, volume_payload
from .tokens import token_file, write_kubeconfig

__all__ = ["Mount", "VolumeError", "VolumeManager"]


class VolumeError(Exception):
    """A volume is not available (yet). `reason` is for the Event."""

    def __init__(self, message: str, *, reason: str = "FailedMount"):
        super().__init__(message)
        self.reason = reason
        self.message = message


class VolumeManager:
    """The volumes of all pods of a node. `root` is the folder of the node, `volumes_root` holds the claims."""

    def __init__(self, client: Client, root: Path, volumes_root: Path, node_name: str):
        self._client = client
        self._root = root
        self._volumes_root = volumes_root
        self._node_name = node_name

    async def prepare(self, pod: dict[str, Any]) -> dict[str, Path]:
        """Creates or updates every volume of `pod`; returns the directories by volume name. Raises VolumeError.

        Call it again after an error: it keeps what it has created.
        """
        directories = {}
        for volume in pod["spec"].get("volumes") or []:
            try:
                directories[volume["name"]] = await self._prepare(pod, volume)
            except (ClaimError, SourceError, ApiError, OSError) as error:
                said = error.message if isinstance(error, ApiError) else str(error)
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {said}') from error
        return directories

    async def refresh(self, pod: dict[str, Any]) -> None:
        """Updates the files of configMaps, secrets, tokens and the downward API. Call it regularly.

        Raises VolumeError if a source is gone: the last files stay.
        """
        for volume in pod["spec"].get("volumes") or []:
            if any(kind in volume for kind in KINDS):
                try:
                    await self._write(pod, volume)
                except (SourceError, ApiError, OSError) as error:
                    said = error.message if isinstance(error, ApiError) else str(error)
                    raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {said}') from error

    def mounts(self, pod: dict[str, Any], container: dict[str, Any], volumes: Mapping[str, Path]) -> list[Mount]:
        """The mounts of `container`; `volumes` is the result of `prepare`. Raises VolumeError."""
        try:
            return container_mounts(pod, container, volumes)
        except (MountError, OSError) as error:
            message = f'failed to prepare subPath for volumeMount of container "{container["name"]}": {error}'
            raise VolumeError(message) from error

    async def cleanup(self, pod: dict[str, Any]) -> None:
        """Removes the volumes of the pod, emptyDirs included; claims stay. It can be called again."""
        folder = self._pod_folder(pod)
        for name in ("kubeconfigs", "volumes"):
            await asyncio.to_thread(remove_tree, folder / name)

    async def _prepare(self, pod: dict[str, Any], volume: dict[str, Any]) -> Path:
        if claim_name(pod, volume) is not None:
            return await claim_directory(self._client, pod, volume, self._volumes_root)
        if any(kind in volume for kind in KINDS):
            return await self._write(pod, volume)
        if "emptyDir" in volume:
            directory = self._directory(pod, volume)
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return directory
        kinds = ", ".join(kind for kind in volume if kind != "name")
        raise ClaimError(f"this node does not support {kinds} volumes")

    async def _write(self, pod: dict[str, Any], volume: dict[str, Any]) -> Path:
        directory = self._directory(pod, volume)
        payload = await volume_payload(self._client, pod, volume, directory)
        await asyncio.to_thread(write_payload, directory, payload)
        token = token_file(volume)
        if token is not None:
            namespace, config = pod["metadata"]["namespace"], self._client.config
            await asyncio.to_thread(write_kubeconfig, directory, token=token, config=config, namespace=namespace)
        return directory

    def _directory(self, pod: dict[str, Any], volume: dict[str, Any]) -> Path:
        return self._pod_folder(pod).joinpath("volumes", volume["name"])

    def _pod_folder(self, pod: dict[str, Any]) -> Path:
        return layout.pod(self._root, pod["metadata"]["uid"])
