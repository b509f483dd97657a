"""A user's namespace and what every one has: made at a start, and brought to what this version wants.

Owns the requests and their order; what the objects look like is in `manifests`. Does not know servers.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

from kf_spawner.k8s import quantities
from kf_spawner.kube import AlreadyExists, Client, NotFound
from kf_spawner.kube.resources import (
    BUILT_IN,
    NAMESPACES,
    RESOURCEQUOTAS,
)

from . import errors, manifests
from .diagnosis import Cause, Diagnosis

_FIELD_MANAGER = "kf-spawner-hub"
_QUOTA_PATIENCE = 10.0  # seconds
_QUOTA_POLL = 0.05  # seconds


async def ensure(client: Client, wanted: dict[str, Any], furniture: Iterable[dict[str, Any]]) -> None:
    """Makes or updates the namespace `wanted` (of `manifests.namespace`) and the objects `furniture` in it.

    A quota among them is in force when this returns. Raises SpawnFailed when the namespace is somebody else's,
    ApiError when the API server refuses.
    """
    name = wanted["metadata"]["name"]
    user = wanted["metadata"]["annotations"][manifests.USER_ANNOTATION]
    try:
        existing = await client.get(NAMESPACES, name)
    except NotFound:
        with contextlib.suppress(AlreadyExists):  # by a second server of the same user
            await client.create(NAMESPACES, wanted)
    else:
        if not manifests.belongs_to(existing, user):
            raise errors.failed(_foreign(name, user))
        await client.apply(NAMESPACES, manifests.as_strict(wanted, existing), field_manager=_FIELD_MANAGER)
    await asyncio.gather(*(_put(client, obj) for obj in furniture))


async def _put(client: Client, obj: dict[str, Any]) -> None:
    made = await client.apply(BUILT_IN[obj["apiVersion"], obj["kind"]], obj, field_manager=_FIELD_MANAGER)
    if obj["kind"] != RESOURCEQUOTAS.kind:
        return
    # Until a controller has counted what there is, the API server refuses every object that the quota counts.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_QUOTA_PATIENCE):
            while not _is_in_force(made):
                await asyncio.sleep(_QUOTA_POLL)
                made = await client.get(RESOURCEQUOTAS, manifests.LIMITS, obj["metadata"]["namespace"])


def _is_in_force(quota: dict[str, Any]) -> bool:
    known = (quota.get("status") or {}).get("hard") or {}
    wanted = quota["spec"].get("hard") or {}
    return known.keys() == wanted.keys() and all(quantities.is_same(known[name], wanted[name]) for name in wanted)


def _foreign(name: str, user: str) -> Diagnosis:
    return Diagnosis(
        Cause.NAMESPACE,
        f"The namespace {name} exists and is not yours.",
        f"Ask an administrator: the annotation {manifests.USER_ANNOTATION}={user} on it would make it yours.",
    )
