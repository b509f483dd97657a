"""Writes Events about objects in the background; repeated ones are counted on one Event."""

import asyncio
import collections
import contextlib
import hashlib
import logging
import socket
from datetime import UTC, datetime
from typing import Any

from kf_spawner.k8s import times

from .client import Client
from .errors import AlreadyExists, ApiError, NotFound
from .resources import EVENTS

log = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000  # a thousand jobs that start at once have three each, and pods come first
REMEMBERED = 2000
MESSAGE_LIMIT = 1024  # bytes that the API server takes for a message


class EventRecorder:
    """Queues events; a task of its own writes them. Use it as an async context manager, or `start` and `close`.

    An event that repeats (same object, type, reason and message) raises `count` on the first one, as kubectl users
    expect. A failure to write an event is only logged: nothing depends on it.
    """

    def __init__(self, client: Client, *, component: str, host: str | None = None):
        self._client = client
        self._source = {"component": component, "host": host or socket.gethostname()}
        self._queue: asyncio.Queue[tuple[dict[str, Any], str, str, str, str]] = asyncio.Queue(QUEUE_LIMIT)
        self._written: collections.OrderedDict[str, tuple[str, str, int]] = collections.OrderedDict()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "EventRecorder":
        self.start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def start(self) -> None:
        """Starts the writing task; needs a running event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="event recorder")

    def event(self, obj: dict[str, Any], kind: str, reason: str, message: str) -> None:
        """Records `kind` ("Normal" or "Warning") about `obj`, which needs apiVersion, kind and metadata."""
        self.start()
        now = times.text(datetime.now(UTC))
        try:
            self._queue.put_nowait((_reference(obj), kind, reason, _shorten(message), now))
        except asyncio.QueueFull:
            log.warning("too many events at once: %s %s about %s is left out", kind, reason, obj["metadata"]["name"])

    async def flush(self) -> None:
        """Returns once everything recorded so far is written or given up."""
        await self._queue.join()

    async def close(self, timeout: float = 5.0) -> None:
        """Writes what is queued, for `timeout` seconds at most, and stops."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.flush(), timeout)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def _run(self) -> None:
        while True:
            entry = await self._queue.get()
            try:
                await self._write(*entry)
            except ApiError as error:
                log.warning("event %s about %s was not written: %s", entry[2], entry[0]["name"], error)
            finally:
                self._queue.task_done()

    async def _write(self, reference: dict[str, Any], kind: str, reason: str, message: str, now: str) -> None:
        digest = hashlib.sha256(repr((sorted(reference.items()), kind, reason, message)).encode()).hexdigest()
        known = self._written.get(digest)
        if known and await self._count_up(digest, known, now):
            return
        namespace = reference.get("namespace") or "default"
        event: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{reference['name']}.{_serial(digest, now)}", "namespace": namespace},
            "involvedObject": reference,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": dict(self._source),
            "reportingComponent": self._source["component"],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        with contextlib.suppress(AlreadyExists):
            await self._client.create(EVENTS, event)
        self._written[digest] = (event["metadata"]["name"], namespace, 1)
        self._written.move_to_end(digest)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    async def _count_up(self, digest: str, known: tuple[str, str, int], now: str) -> bool:
        name, namespace, count = known
        try:
            await self._client.patch(EVENTS, name, {"count": count + 1, "lastTimestamp": now}, namespace)
        except NotFound:  # events are deleted after an hour
            return False
        self._written[digest] = (name, namespace, count + 1)
        return True


def _reference(obj: dict[str, Any]) -> dict[str, Any]:
    meta = obj["metadata"]
    reference: dict[str, Any] = {
        "apiVersion": obj.get("apiVersion"),
        "kind": obj.get("kind"),
        "name": meta["name"],
        "namespace": meta.get("namespace"),
        "uid": meta.get("uid"),
        "resourceVersion": meta.get("resourceVersion"),
        "fieldPath": obj.get("fieldPath"),
    }
    kept = {key: value for key, value in reference.items() if value}
    kept.pop("resourceVersion", None)  # with it, every repetition would be a new event
    return kept


def _serial(digest: str, now: str) -> str:
    return hashlib.sha256(f"{digest}{now}".encode()).hexdigest()[:16]


def _shorten(message: str) -> str:
    data = message.encode()
    return message if len(data) <= MESSAGE_LIMIT else data[: MESSAGE_LIMIT - 3].decode(errors="ignore") + "..."
