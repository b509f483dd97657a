"""The hub's one connection to the API server: a client and a cache of all notebook pods, shared by all spawners.

Owns when it is opened and who is woken by which pod. Lives as long as the event loop's tasks do.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import Any

from kf_spawner.kube import Client, Informer, Unreachable, load_config
from kf_spawner.kube.resources import CLAIMS, NODES, PODS, STORAGECLASSES

from . import cluster_facts
from .diagnosis import Diagnosis

log = logging.getLogger(__name__)


class Cluster:
    """Use `await Cluster.shared(component=…)`; `component` is the label that notebook pods carry."""

    _shared: "asyncio.Task[None] | None" = None
    _opened: "asyncio.Future[Cluster] | None" = None
    _opening: "Cluster | None" = None

    def __init__(self, client: Client, component: str):
        self.client = client
        self.pods = Informer(client, PODS, label_selector=f"component={component}", on_change=self._changed)
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._gone: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, Diagnosis] = {}
        """By pod, why servers have ended that their users did not stop; until they run again."""

    @classmethod
    async def shared(cls, *, component: str, timeout: float | None = None) -> "Cluster":
        """The connection, opened at first use; returns when the cache holds the pods that exist.

        Raises why not when that takes longer than `timeout` seconds; without one it waits for the API server.
        """
        if cls._shared is None or cls._shared.done() or cls._opened is None:
            cls._opened = asyncio.get_running_loop().create_future()
            cls._shared = asyncio.create_task(cls._hold(cls._opened, component), name="cluster")
        try:
            async with asyncio.timeout(timeout):
                return await asyncio.shield(cls._opened)
        except TimeoutError as error:
            trouble = cls._opening.pods.trouble if cls._opening else None
            raise trouble or Unreachable(f"the API server did not answer within {timeout:.0f} seconds") from error

    @classmethod
    async def _hold(cls, opened: "asyncio.Future[Cluster]", component: str) -> None:
        # The hub cancels all tasks when it ends, and with this one goes the connection.
        try:
            async with Client(load_config(), user_agent="kf-spawner-hub") as client:
                cluster = cls._opening = cls(client, component)
                async with cluster.pods:
                    await cluster.pods.synced()
                    opened.set_result(cluster)
                    await asyncio.Event().wait()
        except Exception as error:
            log.exception("the connection to the cluster is lost")
            if not opened.done():
                opened.set_exception(error)

    @classmethod
    async def close(cls) -> None:
        """Ends the shared connection; the next use opens another."""
        task, cls._shared, cls._opened = cls._shared, None, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    @contextlib.contextmanager
    def changes(self, key: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the pod `namespace/name` changes, comes or goes; the waiter clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[key].discard(event)
            if not self._waiting[key]:
                del self._waiting[key]

    def take_gone(self, key: str) -> dict[str, Any] | None:
        """The last that was seen of a pod that is gone, told once."""
        return self._gone.pop(key, None)

    def _changed(self, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if new is not None:
            self._gone.pop(key, None)
        elif old is not None:
            self._gone[key] = old
        for event in self._waiting.get(key, ()):
            event.set()


class PodCache:
    """What KubeSpawner expects of its own pod reflector, answered from the shared cache."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster

    @property
    def pods(self) -> "PodCache":
        return self

    def get(self, key: str, default: dict[str, Any] | None = None) -> dict[str, Any] | None:
        return self._cluster.pods.get(key) or default


async def read_facts(client: Client, namespace: str, *, grows: bool) -> cluster_facts.ClusterFacts:
    """What is true of the cluster and of a user's namespace now. `grows`: nodes are added for pods that need them."""
    nodes, claims, classes = await asyncio.gather(
        client.list(NODES), client.list(CLAIMS, namespace), client.list(STORAGECLASSES)
    )
    pods = await client.list(PODS) if cluster_facts.has_gpus(nodes["items"]) else {"items": []}
    return cluster_facts.from_lists(
        nodes=nodes["items"],
        pods=pods["items"],
        claims=claims["items"],
        storage_classes=classes["items"],
        grows=grows,
    )
