"""A TFJob as one stream: its states, its events and its logs as they happen, and how it ended.

Items are dicts with a `type`: `status` (the job's view), `event`, `log`, and as the last one `end` (the job's view
once more, `state` Deleted where the job is gone). Watches and logs are resumed when the API server is started anew.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError, Client, Informer, Unreachable
from kf_spawner.kube.resources import EVENTS, PODS
from kf_spawner.tfjob.names import CONTAINER

from .job_view import TERMINAL, event_view, job_selector, job_view, replica_name
from .pod_logs import (
    DRAIN_TIMEOUT,
    RETRY_EVERY,
    Changes,
    PodLogs,
    Position,
    container_status,
    has_started,
    read_lines,
)
from .wire import JobView

log = logging.getLogger(__name__)

QUEUE = 1000
SYNC_TIMEOUT = 60.0
Stream = AsyncGenerator[dict, None]


async def follow_job(
    client: Client,
    jobs: Resource,
    *,
    namespace: str,
    name: str,
    name_of: Callable[[dict], str | None] = replica_name,
    tail: int | None = None,
) -> Stream:
    """The whole story of the job that has this name now, from the start of its logs to its end.

    Logs are those of the pods that `name_of` has a name for, from their last `tail` lines on where it is given.
    """
    queue: asyncio.Queue = asyncio.Queue(QUEUE)
    changes = Changes()

    def changed(*_what: object) -> None:
        changes.notify()

    job = Informer(client, jobs, namespace, field_selector=f"metadata.name={name}", on_change=changed)
    pods = Informer(client, PODS, namespace, label_selector=job_selector(name), on_change=changed)
    events = Informer(client, EVENTS, namespace, on_change=changed)
    async with job, pods, events:
        await _synced(job, pods, events)
        async with PodLogs(client, pods, changes, queue, name_of=name_of, container=CONTAINER, tail=tail) as logs:

            async def list_pods() -> list[dict]:
                return (await client.list(PODS, namespace, label_selector=job_selector(name)))["items"]

            producer = _Follow(f"{namespace}/{name}", job, pods, events, logs, changes, queue, list_pods)
            async for item in _drain(queue, producer.run()):
                yield item


async def follow_pods(
    client: Client,
    *,
    namespace: str,
    selector: str,
    name_of: Callable[[dict], str | None],
    container: str | None = None,
) -> Stream:
    """The logs of the pods that a selector finds, without an end: pods may come and go."""
    queue: asyncio.Queue = asyncio.Queue(QUEUE)
    changes = Changes()
    pods = Informer(client, PODS, namespace, label_selector=selector, on_change=lambda *_what: changes.notify())
    async with pods:
        await _synced(pods)
        async with PodLogs(client, pods, changes, queue, name_of=name_of, container=container) as logs:

            async def run() -> None:
                while True:
                    seen = changes.count
                    logs.sync()
                    await changes.beyond(seen)

            async for item in _drain(queue, run()):
                yield item


async def read_pods(
    client: Client,
    *,
    namespace: str,
    selector: str,
    name_of: Callable[[dict], str | None],
    container: str | None = None,
    tail: int | None = None,
) -> Stream:
    """The logs (or their last `tail` lines) of the pods that a selector finds, as they are now, pod after pod."""
    pods = (await client.list(PODS, namespace, label_selector=selector))["items"]
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        replica = name_of(pod)
        name = container or pod["spec"]["containers"][0]["name"]
        if replica is None or not has_started(container_status(pod, name)):
            continue
        lines = read_lines(client, namespace, pod["metadata"]["name"], name, Position(), tail=tail)
        async with contextlib.aclosing(lines):
            async for written, line in lines:
                yield {"type": "log", "replica": replica, "time": written, "line": line}


class _Follow:
    """Turns each change of a job's world into items of the queue, until the job has ended."""

    def __init__(
        self,
        key: str,
        job: Informer,
        pods: Informer,
        events: Informer,
        logs: PodLogs,
        changes: Changes,
        queue: asyncio.Queue,
        list_pods: Callable[[], Awaitable[list[dict]]],
    ):
        self._key = key
        self._job, self._pods, self._events = job, pods, events
        self._logs = logs
        self._changes = changes
        self._queue = queue
        self._list_pods = list_pods
        self._uids: set[str] = set()
        self._told: dict[str, int] = {}

    async def run(self) -> None:
        last: JobView | None = None
        seen = self._changes.count
        while (job := self._current(last)) is not None:
            view = job_view(job, self._pods.items())
            if view != last:
                await self._queue.put({"type": "status", **view})
                last = view
            await self._tell_events()
            self._logs.sync()
            if view["state"] in TERMINAL:
                break
            await self._changes.beyond(seen)
            seen = self._changes.count
        pods = await self._newest_pods()
        await self._logs.drain(pods)
        await self._tell_events()
        final = self._current(last)
        if final is not None:
            await self._queue.put({"type": "end", **job_view(final, pods)})
        elif last is not None:
            await self._queue.put({"type": "end", **last, "state": "Deleted"})

    async def _newest_pods(self) -> list[dict]:
        """Straight from the API, once it answers: the informer of pods may lag behind the one of the job."""
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while time.monotonic() < deadline:
            try:
                return await self._list_pods()
            except ApiError as error:
                log.info("%s; trying again", error)
            await asyncio.sleep(RETRY_EVERY)
        return self._pods.items()

    def _current(self, last: JobView | None) -> dict | None:
        """The job, unless it is gone or another one has its name by now."""
        job = self._job.get(self._key)
        if job is not None and last is not None and job["metadata"]["uid"] != last["uid"]:
            return None
        return job

    async def _tell_events(self) -> None:
        """Every event of this job and its pods once, and again when it is counted up."""
        job = self._job.get(self._key)
        self._uids.update(pod["metadata"]["uid"] for pod in self._pods.items())
        if job is not None:
            self._uids.add(job["metadata"]["uid"])
        for event in sorted(self._events.items(), key=_when):
            view, uid = event_view(event), event["metadata"]["uid"]
            if (event.get("involvedObject") or {}).get("uid") in self._uids and self._told.get(uid) != view["count"]:
                self._told[uid] = view["count"]
                await self._queue.put({"type": "event", **view})


def _when(event: dict) -> str:
    return event_view(event)["time"] or ""


async def _synced(*informers: Informer) -> None:
    try:
        async with asyncio.timeout(SYNC_TIMEOUT):
            for informer in informers:
                await informer.synced()
    except TimeoutError as error:
        raise Unreachable("watching did not begin in time") from error


async def _drain(queue: asyncio.Queue, producer: Coroutine[Any, Any, None]) -> Stream:
    """What `producer` puts into the queue, until it has ended and the queue is empty."""
    task = asyncio.create_task(producer)
    task.add_done_callback(lambda _task: _wake(queue))
    try:
        while not (task.done() and queue.empty()):
            item = await queue.get()
            if item is not None:
                yield item
        await task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _wake(queue: asyncio.Queue) -> None:
    if not queue.full():
        queue.put_nowait(None)
