"""The list of jobs as it changes, for any number of readers: one watch for each namespace with readers.

A watch begins with its first reader and ends with the last. A slow reader gets fewer, newer changes, so that no queue
grows.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from kf_spawner.kube import Client, Informer, Unreachable
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.workloads.wire import ChangedItem, ListItem, RemovedItem

from .caller import is_users
from .job_detail import row, rows

SYNC_TIMEOUT = 20.0
Items = AsyncGenerator[ListItem, None]


class ListWatches:
    """`open_client(namespace)` gives the client to watch a namespace with, or all of them for None."""

    def __init__(self, open_client: Callable[[str | None], Awaitable[Client]]):
        self._open_client = open_client
        self._watches: dict[str | None, _ListWatch] = {}

    async def follow(self, namespace: str | None) -> Items:
        """A snapshot, then every change, without an end. Raises Unreachable if the first list does not come."""
        watch = self._watches.get(namespace)
        if watch is None:
            client = await self._open_client(namespace)
            watch = self._watches.setdefault(namespace, _ListWatch(client, namespace))
        watch.readers += 1
        try:
            async with contextlib.aclosing(watch.items()) as items:
                async for item in items:
                    yield item
        finally:
            watch.readers -= 1
            if not watch.readers and self._watches.get(namespace) is watch:
                del self._watches[namespace]
                await watch.close()

    @property
    def watches(self) -> int:
        """How many watches are open."""
        return len(self._watches)


class _ListWatch:
    """One informer, whose changes go to every reader."""

    def __init__(self, client: Client, namespace: str | None):
        self.readers = 0
        self._informer = Informer(client, TFJOBS, namespace, on_change=self._changed)
        self._starting = asyncio.Lock()
        self._started = False
        self._pending: set[_Pending] = set()

    async def items(self) -> Items:
        async with self._starting:
            if not self._started:
                await self._informer.__aenter__()
                self._started = True
        try:
            async with asyncio.timeout(SYNC_TIMEOUT):
                await self._informer.synced()
        except TimeoutError as error:
            raise Unreachable("watching TFJobs did not begin in time") from error
        pending = _Pending()
        self._pending.add(pending)
        try:
            jobs = [job for job in self._informer.items() if is_users(job["metadata"]["namespace"])]
            yield {"type": "snapshot", "items": await asyncio.to_thread(rows, jobs)}
            while True:
                for item in await pending.take():
                    yield item
        finally:
            self._pending.discard(pending)

    async def close(self) -> None:
        if self._started:
            await self._informer.__aexit__(None, None, None)

    def _changed(self, _key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        about = new or old
        assert about is not None
        if not is_users(about["metadata"]["namespace"]):
            return
        for item in _items(old, new):
            for pending in self._pending:
                pending.put(item)


def _items(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[ChangedItem | RemovedItem]:
    """A change as items of the list: a new job with an old job's name is another row."""
    before, after = row(old) if old else None, row(new) if new else None
    items: list[ChangedItem | RemovedItem] = []
    if before and (not after or after["uid"] != before["uid"]):
        name = before["name"]
        items.append({"type": "removed", "namespace": before["namespace"], "name": name, "uid": before["uid"]})
    if after and after != before:
        items.append({"type": "changed", "job": after})
    return items


class _Pending:
    """The changes that one reader has not got yet: only the newest of each job."""

    def __init__(self) -> None:
        self._items: dict[str, ChangedItem | RemovedItem] = {}
        self._some = asyncio.Event()

    def put(self, item: ChangedItem | RemovedItem) -> None:
        uid = item["job"]["uid"] if item["type"] == "changed" else item["uid"]
        self._items[uid] = item
        self._some.set()

    async def take(self) -> list[ChangedItem | RemovedItem]:
        await self._some.wait()
        self._some.clear()
        items, self._items = list(self._items.values()), {}
        return items
