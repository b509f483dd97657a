"""A user's namespace and what every one has: made at a start, and brought to what this version wants.

Owns the requests and their order; what the objects look like is in `manifests`. Does not know servers.
"""

import asyncio
import contextlib
from typing import Any

from kf_spawner.kube import AlreadyExists, Client, NotFound
from kf_spawner.kube.resources import NAMESPACES, NETWORKPOLICIES, ROLEBINDINGS, SERVICEACCOUNTS

from . import errors, manifests
from .diagnosis import Cause, Diagnosis

_FIELD_MANAGER = "kf-spawner-hub"


async def ensure(client: Client, wanted: dict[str, Any], *, network_policy: dict[str, Any]) -> None:
    """Makes or updates the namespace `wanted` (of `manifests.namespace`), its account and that account's rights.

    `network_policy`: the spec of a NetworkPolicy for its pods; none is made where it is empty. Raises SpawnFailed
    when the namespace is somebody else's, ApiError when the API server refuses.
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
        await client.apply(NAMESPACES, wanted, field_manager=_FIELD_MANAGER)
    furniture = [(SERVICEACCOUNTS, manifests.account(name)), (ROLEBINDINGS, manifests.binding(name))]
    if network_policy:
        furniture.append((NETWORKPOLICIES, manifests.network_policy(name, network_policy)))
    await asyncio.gather(*(client.apply(kind, obj, field_manager=_FIELD_MANAGER) for kind, obj in furniture))


def _foreign(name: str, user: str) -> Diagnosis:
    return Diagnosis(
        Cause.NAMESPACE,
        f"The namespace {name} exists and is not yours.",
        f"Ask an administrator: the annotation {manifests.USER_ANNOTATION}={user} on it would make it yours.",
    )
