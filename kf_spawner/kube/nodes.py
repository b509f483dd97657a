"""Asks whether nodes whose pods should have ended are lost. Asks about those only: no cache of all nodes."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from kf_spawner.k8s import conditions, times

from .client import Client
from .errors import Forbidden, NotFound
from .resources import NODES

log = logging.getLogger(__name__)


def is_overdue(pod: dict[str, Any], now: datetime) -> bool:
    """Whether the pod's node should have reported the pod's end by now."""
    end = pod["metadata"].get("deletionTimestamp")  # includes the grace period
    return bool(end and pod["spec"].get("nodeName")) and times.parse(end) <= now


async def find_lost(client: Client, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are gone or not ready. Empty without the right to read nodes. Raises ApiError."""
    names = list(names)
    lost = await asyncio.gather(*(_is_lost(client, name) for name in names))
    return frozenset(name for name, is_lost in zip(names, lost, strict=True) if is_lost)


async def is_stranded(client: Client, pod: dict[str, Any]) -> bool:
    """Whether a pod should have ended, but its node is lost and cannot report it. Raises ApiError."""
    return is_overdue(pod, datetime.now(UTC)) and bool(await find_lost(client, [pod["spec"]["nodeName"]]))


async def _is_lost(client: Client, name: str) -> bool:
    try:
        node = await client.get(NODES, name)
    except NotFound:
        return True
    except Forbidden as error:
        log.warning("cannot tell whether node %s is lost, grant `get` of nodes: %s", name, error)
        return False
    return not conditions.is_true(node.get("status"), "Ready")
