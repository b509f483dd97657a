"""Creates several objects, all or none, even if this process or the API server dies in between.

A bundle is one owner (a TFJob, a Deployment) and its dependents (a program's ConfigMap, a Service). The API has no
transactions, so the order matters: dependents first, then the owner, then the dependents get their ownerReference. An
owner is therefore always complete. If the process dies before the last step, a dependent has the owner's name and the
submission's id: `sweep` gives it to its owner or deletes it.
"""

import asyncio
import logging
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from kf_spawner.k8s import times
from kf_spawner.k8s.metadata import owner_reference
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import AlreadyExists, ApiError, Client, Conflict, Forbidden, NotFound
from kf_spawner.kube.paths import path_of

from .errors import may_pass

log = logging.getLogger(__name__)

OWNER_KIND = "kf-spawner.io/owner-kind"
OWNER_NAME = "kf-spawner.io/owner-name"
SUBMISSION = "kf-spawner.io/submission"
RETRY_FOR = 30.0
RETRY_EVERY = 0.5


@dataclass(frozen=True)
class Part:
    """An object and its resource."""

    resource: Resource
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        name: str = self.manifest["metadata"]["name"]
        return name


async def create(
    client: Client, *, namespace: str, owner: Part, dependents: list[Part], strict: bool = False
) -> dict[str, Any]:
    """Creates all parts in `namespace`, or none. Returns the owner as the API stored it.

    With `strict` the API refuses unknown fields of the owner. Raises ApiError.
    """
    submission = uuid.uuid4().hex
    made: list[tuple[Resource, dict[str, Any]]] = []
    try:
        for part in dependents:
            marked = _marked(part.manifest, namespace, submission, owner=owner)
            made.append((part.resource, await _create(client, part.resource, marked)))
        stored = await _create(client, owner.resource, _marked(owner.manifest, namespace, submission), strict=strict)
    except BaseException:
        await _remove(client, made)
        raise
    for resource, obj in made:
        await _adopt(client, resource, obj, stored)
    return stored


async def sweep(
    client: Client, *, namespace: str, resource: Resource, owner_resource: Resource, older_than: float
) -> int:
    """Sets the missing ownerReference of dependents, or deletes those whose owner was never created.

    Skips those younger than `older_than` seconds: their submission may still run. Returns their number.
    """
    selector = f"{OWNER_KIND}={owner_resource.kind}"
    young = 0
    for obj in (await client.list(resource, namespace, label_selector=selector))["items"]:
        meta = obj["metadata"]
        if meta.get("ownerReferences") or meta.get("deletionTimestamp"):
            continue
        if times.age(obj, datetime.now(UTC)) < timedelta(seconds=older_than):
            young += 1
            continue
        owner = await _owner_of(client, obj, owner_resource)
        if owner is not None:
            await _adopt(client, resource, obj, owner)
        else:
            log.info("%s %s was left by a submission that did not finish: deleting it", obj["kind"], meta["name"])
            await _remove(client, [(resource, obj)])
    return young


def _marked(
    manifest: dict[str, Any], namespace: str, submission: str, *, owner: Part | None = None
) -> dict[str, Any]:
    """A copy in `namespace` with the submission's id and, for a dependent, its future owner."""
    meta = {**manifest["metadata"], "namespace": namespace}
    meta["annotations"] = {**(meta.get("annotations") or {}), SUBMISSION: submission}
    if owner is not None:
        of = {OWNER_KIND: owner.resource.kind, OWNER_NAME: owner.name}
        meta["labels"] = {**(meta.get("labels") or {}), **of}
    return {**manifest, "metadata": meta}


async def _create(client: Client, resource: Resource, obj: dict[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """Creates `obj` exactly once, also if the API server dies before it answers."""
    meta = obj["metadata"]
    params = {"fieldValidation": "Strict"} if strict else None
    deadline = time.monotonic() + RETRY_FOR
    again = False
    while True:
        try:
            return await client.request("POST", path_of(resource, meta["namespace"]), params=params, body=obj)
        except AlreadyExists:
            if not again:
                raise
            there = await client.get(resource, meta["name"], meta["namespace"])
            if _submission(there) != _submission(obj):
                raise
            return there
        except ApiError as error:
            # An API server that has just started refuses requests until it has read the roles.
            passing = may_pass(error) or (again and isinstance(error, Forbidden))
            if not passing or time.monotonic() > deadline:
                raise
            again = True
        await asyncio.sleep(RETRY_EVERY)


async def _adopt(client: Client, resource: Resource, obj: dict[str, Any], owner: dict[str, Any]) -> None:
    """Sets the ownerReference; a failure is left to the next sweep."""
    meta = obj["metadata"]
    of = owner["metadata"]
    reference = owner_reference(api_version=owner["apiVersion"], kind=owner["kind"], name=of["name"], uid=of["uid"])
    patch = {"metadata": {"uid": meta["uid"], "ownerReferences": [reference]}}
    try:
        await client.patch(resource, meta["name"], patch, meta["namespace"])
    except ApiError as error:
        log.warning("%s %s has no owner yet: %s", resource.kind, meta["name"], error)


async def _remove(client: Client, made: list[tuple[Resource, dict[str, Any]]]) -> None:
    """Deletes what was created; a failure is left to the next sweep."""
    for resource, obj in made:
        meta = obj["metadata"]
        try:
            await client.delete(resource, meta["name"], meta["namespace"], uid=meta["uid"])
        except (NotFound, Conflict):
            continue
        except ApiError as error:
            log.warning("%s %s is left over: %s", resource.kind, meta["name"], error)


async def _owner_of(client: Client, obj: dict[str, Any], owner_resource: Resource) -> dict[str, Any] | None:
    """The owner that came from the same submission as `obj`."""
    meta = obj["metadata"]
    try:
        owner = await client.get(owner_resource, meta["labels"].get(OWNER_NAME, ""), meta["namespace"])
    except NotFound:
        return None
    return owner if _submission(owner) == _submission(obj) else None


def _submission(obj: dict[str, Any]) -> str | None:
    return (obj["metadata"].get("annotations") or {}).get(SUBMISSION)
