"""Applies the objects that this version needs to a cluster: its manifests, in order, by server-side apply."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError, Client, Unreachable, load_config
from kf_spawner.kube.errors import Forbidden, NotFound, Unauthorized
from kf_spawner.kube.resources import BUILT_IN

PACKAGE = Path(__file__).resolve().parent.parent
PLATFORM = PACKAGE / "manifests"
LOCAL_CLUSTER = PACKAGE / "localcluster" / "manifests"
FIELD_MANAGER = "kf-spawner"
PATIENCE = 30.0
PAUSE = 0.1
REMEDIES: dict[type[ApiError], str] = {
    Unreachable: "start that cluster, or name another one's kubeconfig",
    Unauthorized: "name a kubeconfig that is still valid",
    Forbidden: "name the kubeconfig of an administrator, who may make resource definitions and roles there",
}
"""What to do when the cluster of `--kubeconfig` refuses."""


class SetUpError(Exception):
    """The cluster cannot be made or prepared. The message says why and what to do."""


class CannotApply(Exception):
    """An object was refused, or the API server gave no answer. The message says which and why; the cause is the
    ApiError."""


def manifests(*folders: Path) -> list[dict[str, Any]]:
    """The objects in the YAML files of `folders`; definitions of resources first, because others need them."""
    files = [path for folder in folders for path in sorted(folder.glob("*.yaml"))]
    documents = [document for path in files for document in yaml.safe_load_all(path.read_text())]
    return sorted(filter(None, documents), key=lambda obj: obj["kind"] != "CustomResourceDefinition")


async def prepare_named(kubeconfig: Path) -> None:
    """Prepares the cluster of `--kubeconfig` for this version. Raises SetUpError.

    Without the policies: they name the accounts of the local cluster, but here hub and operator act as the
    kubeconfig's user. A chart's policies of the same names stay as they are.
    """
    objects = [obj for obj in manifests(PLATFORM) if not obj["kind"].startswith("ValidatingAdmissionPolicy")]
    try:
        await apply_all(kubeconfig, objects)
    except CannotApply as error:
        remedy = next((text for kind, text in REMEDIES.items() if isinstance(error.__cause__, kind)), "")
        raise SetUpError(f"--kubeconfig {kubeconfig}: {error}{remedy and f'; {remedy}'}") from error


async def apply_all(kubeconfig: Path, objects: Iterable[dict[str, Any]]) -> None:
    """Applies every object; waits while the API server does not serve a new kind yet. Raises CannotApply."""
    async with Client(load_config(kubeconfig), user_agent="kf-spawner-up") as client:
        try:
            async with asyncio.TaskGroup() as group:
                for obj in objects:
                    group.create_task(_apply(client, obj))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed.exceptions[0].__cause__


async def _apply(client: Client, obj: dict[str, Any]) -> None:
    resource: Resource = BUILT_IN[(obj["apiVersion"], obj["kind"])]
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await client.apply(resource, obj, field_manager=FIELD_MANAGER)
            return
        except ApiError as error:
            # NotFound: its group or namespace is not served yet.
            if not isinstance(error, NotFound) or time.monotonic() > deadline:
                raise CannotApply(f"cannot make the {obj['kind']} {obj['metadata']['name']}: {error}") from error
        await asyncio.sleep(PAUSE)
