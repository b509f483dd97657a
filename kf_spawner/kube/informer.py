"""An up-to-date cache of one collection: list, watch, resume, and list again when the server requires it."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from typing import Any

from kf_spawner.k8s.resources import Resource

from .client import Client
from .errors import ApiError, Gone
from .lines import TURN

log = logging.getLogger(__name__)

MIN_BACKOFF = 0.1
MAX_BACKOFF = 10.0

Change = Callable[[str, dict[str, Any] | None, dict[str, Any] | None], None]
Keep = Callable[[dict[str, Any]], dict[str, Any]]


def key_of(obj: dict[str, Any]) -> str:
    """`namespace/name`, or `name` for a cluster-scoped object."""
    meta = obj["metadata"]
    namespace = meta.get("namespace")
    return f"{namespace}/{meta['name']}" if namespace else meta["name"]


class Informer:
    """Keeps the newest state of a collection and calls `on_change(key, old, new)` for every difference.

    `old` or `new` is None if the object did or does not exist. The callback runs on the event loop and must not
    block; between the changes of a large list, other tasks take their turns. Its errors are logged and do not stop
    the cache. Objects are shared: treat them as read-only. They come without `metadata.managedFields`, and as `keep`
    returns them, if it is given, to save memory. `keep` must keep name, namespace, uid and resourceVersion.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        on_change: Change | None = None,
        keep: Keep | None = None,
    ):
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._on_change, self._keep = on_change, keep
        self._objects: dict[str, dict[str, Any]] = {}
        self._version: str | None = None
        self._synced = asyncio.Event()
        self.trouble: ApiError | None = None
        """Why there is no first list yet: the newest failure, if any."""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Informer":
        self._task = asyncio.create_task(self._run(), name=f"informer {self._resource.plural}")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def synced(self) -> None:
        """Returns once the first list is in the cache."""
        await self._synced.wait()

    @property
    def is_synced(self) -> bool:
        return self._synced.is_set()

    def get(self, key: str) -> dict[str, Any] | None:
        return self._objects.get(key)

    def items(self) -> list[dict[str, Any]]:
        return list(self._objects.values())

    async def _run(self) -> None:
        backoff = MIN_BACKOFF
        while True:
            began = time.monotonic()
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
            except Gone:
                self._version = None
            except ApiError as error:
                self.trouble = error
                log.warning("watching %s: %s; trying again in %.1f s", self._resource.plural, error, backoff)
            except Exception:
                # Log any error and continue: a cache that stops silently would be worse.
                log.exception("watching %s; listing again in %.1f s", self._resource.plural, backoff)
                self._version = None
            if time.monotonic() - began > MAX_BACKOFF:
                backoff = MIN_BACKOFF
            await asyncio.sleep(backoff * random.uniform(0.75, 1.25))
            backoff = min(backoff * 2, MAX_BACKOFF)

    async def _list(self) -> None:
        result = await self._client.list(self._resource, self._namespace, **self._selectors)
        fresh: dict[str, dict[str, Any] | None] = {key_of(item): item for item in result["items"]}
        gone = [key for key in self._objects if key not in fresh]
        for number, (key, obj) in enumerate([*dict.fromkeys(gone).items(), *fresh.items()], start=1):
            self._set(key, obj)
            if number % TURN == 0:
                await asyncio.sleep(0)
        self._version = result["metadata"]["resourceVersion"]
        self._synced.set()

    async def _watch(self) -> None:
        assert self._version is not None
        events = self._client.watch(
            self._resource, self._namespace, resource_version=self._version, **self._selectors
        )
        async with contextlib.aclosing(events):
            async for kind, obj in events:
                self._version = obj["metadata"]["resourceVersion"]
                if kind == "DELETED":
                    self._set(key_of(obj), None)
                elif kind != "BOOKMARK":
                    self._set(key_of(obj), obj)

    def _set(self, key: str, new: dict[str, Any] | None) -> None:
        old = self._objects.get(key)
        if new is None:
            self._objects.pop(key, None)
        else:
            new["metadata"].pop("managedFields", None)  # often half of an object, and unused
            new = self._keep(new) if self._keep else new
            self._objects[key] = new
        if self._on_change is None or _same(old, new):
            return
        try:
            self._on_change(key, old, new)
        except Exception:
            log.exception("a change of %s %s was not handled", self._resource.kind, key)


def _same(old: dict[str, Any] | None, new: dict[str, Any] | None) -> bool:
    if old is None or new is None:
        return old is new
    before, after = old["metadata"], new["metadata"]
    return (before.get("uid"), before["resourceVersion"]) == (after.get("uid"), after["resourceVersion"])
