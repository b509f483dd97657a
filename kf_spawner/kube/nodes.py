"""Asks whether nodes that owe an answer are still there. Only those are ever asked about: no cache of all nodes."""

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
    """Whether the pod's node should have said by now that the pod has ended."""
    end = pod["metadata"].get("deletionTimestamp")  # its grace is counted in
    return bool(end and pod["spec"].get("nodeName")) and times.parse(end) <= now


async def find_lost(client: Client, names: Iterable[str]) -> frozenset[str]:
    """Those of `names` that are gone or not ready. Without the right to ask, none is. Raises ApiError."""
    names = list(names)
    lost = await asyncio.gather(*(_is_lost(client, name) for name in names))
    return frozenset(name for name, is_lost in zip(names, lost, strict=True) if is_lost)


async def is_stranded(client: Client, pod: dict[str, Any]) -> bool:
    """Whether a pod should have ended, and its node, which has to say so, is lost. Raises ApiError."""
    return is_overdue(pod, datetime.now(UTC)) and bool(await find_lost(client, [pod["spec"]["nodeName"]]))


async def _is_lost(client: Client, name: str) -> bool:
    try:
        node = await client.get(NODES, name)
    except NotFound:
        return True
    except Forbidden as error:
        log.warning("whether node %s is lost cannot be told, grant `get` of nodes: %s", name, error)
        return False
    return not conditions.is_true(node.get("status"), "Ready")
