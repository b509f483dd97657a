"""Brings a cluster's own objects to what this version needs: the manifests, in order, by server-side apply."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import yaml

from kf_spawner.kube import Client, Resource, Unreachable, load_config
from kf_spawner.kube.errors import NotFound
from kf_spawner.kube.resources import BUILT_IN

PACKAGE = Path(__file__).resolve().parent.parent
PLATFORM = PACKAGE / "manifests"
LOCAL_CLUSTER = PACKAGE / "localcluster" / "manifests"
FIELD_MANAGER = "kf-spawner"
PATIENCE = 30.0
PAUSE = 0.1


def manifests(*folders: Path) -> list[dict]:
    """The objects in the YAML files of `folders`, those first that others need."""
    files = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    documents = [document for path in files for document in yaml.safe_load_all(path.read_text())]
    return sorted(filter(None, documents), key=lambda obj: obj["kind"] != "CustomResourceDefinition")


async def apply_all(kubeconfig: Path, objects: Iterable[dict]) -> None:
    """Applies every object; waits for an API server that has just started to serve what it needs."""
    async with Client(load_config(kubeconfig), user_agent="kf-spawner-up") as client:
        await asyncio.gather(*(_apply(client, obj) for obj in objects))


async def _apply(client: Client, obj: dict) -> None:
    resource: Resource = BUILT_IN[(obj["apiVersion"], obj["kind"])]
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await client.apply(resource, obj, field_manager=FIELD_MANAGER)
                return
            except (NotFound, Unreachable):  # its group or namespace is not served yet
                await asyncio.sleep(PAUSE)
