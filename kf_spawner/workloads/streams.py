"""Streams of items, each a dict with a `type` (see `wire`): a whole job, and the logs of pods.

A job's stream has `status` (the job's view), `event` and `log` items as they happen, and `end` as the last one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping
from typing import Any

from kf_spawner.kube import ApiError, Client, Informer
from kf_spawner.kube.resources import PODS
from kf_spawner.tfjob.names import CONTAINER

from .change_count import ChangeCount
from .container_log import ContainerRun, container_status, has_started, read_log, read_tail
from .job_view import TERMINAL, event_view, job_selector, job_view, replica_name
from .job_watch import Events, JobWatch, synced
from .log_cursor import Cursor, LogReading
from .pod_logs import DRAIN_TIMEOUT, RETRY_EVERY, NameOf, PodLogs, Queue, log_item
from .wire import JobStreamItem, JobView, LogItem

log = logging.getLogger(__name__)

QUEUE = 1000
Pods = list[dict[str, Any]]


async def job_stream(
    client: Client,
    *,
    namespace: str,
    name: str,
    uid: str,
    name_of: NameOf = replica_name,
    tail: int | None = None,
    after: Mapping[str, Cursor] | None = None,
) -> AsyncGenerator[JobStreamItem, None]:
    """All of a job, from the start of its logs to its end.

    Logs are those of the pods that `name_of` has a name for. Each continues after the line that `after` has for its
    pod's uid, or begins at most `tail` lines back.
    """
    queue: Queue = asyncio.Queue(QUEUE)
    async with (
        JobWatch(client, namespace=namespace, name=name, uid=uid) as watch,
        PodLogs(
            client, watch.pods, watch.changes, queue, name_of=name_of, container=CONTAINER, tail=tail, after=after
        ) as logs,
    ):

        async def list_pods() -> Pods:
            pods: Pods = (await client.list(PODS, namespace, label_selector=job_selector(name)))["items"]
            return pods

        async for item in _drain(queue, _tell_job(watch, logs, queue, list_pods)):
            yield item


async def follow_pods(
    client: Client,
    *,
    namespace: str,
    selector: str,
    name_of: NameOf,
    container: str | None = None,
    after: Mapping[str, Cursor] | None = None,
) -> AsyncGenerator[LogItem, None]:
    """The logs of the pods that a selector finds, without an end: pods may come and go. Else as `job_stream`."""
    queue: Queue = asyncio.Queue(QUEUE)
    changes = ChangeCount()
    pods = Informer(client, PODS, namespace, label_selector=selector, on_change=changes.notify)
    async with pods:
        await synced(pods)
        async with PodLogs(client, pods, changes, queue, name_of=name_of, container=container, after=after) as logs:

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
    name_of: NameOf,
    container: str | None = None,
    tail: int | None = None,
    after: Mapping[str, Cursor] | None = None,
) -> AsyncGenerator[LogItem, None]:
    """The logs of the pods that a selector finds, as they are now, pod after pod. Else as `job_stream`."""
    pods = (await client.list(PODS, namespace, label_selector=selector))["items"]
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        meta, replica = pod["metadata"], name_of(pod)
        name = container or pod["spec"]["containers"][0]["name"]
        status = container_status(pod, name)
        if replica is None or not has_started(status):
            continue
        run = ContainerRun(namespace, meta["name"], meta["uid"], name, status.get("restartCount", 0))
        cursor = (after or {}).get(run.uid)
        if tail is not None and cursor is None:
            lines = read_tail(client, run, LogReading(run.uid, run.restart), tail)
        else:
            since = cursor.since if cursor and cursor.restart == run.restart else None
            lines = read_log(client, run, LogReading(run.uid, run.restart, cursor), since=since)
        async with contextlib.aclosing(lines):
            async for line in lines:
                yield log_item(replica, line)


async def _tell_job(watch: JobWatch, logs: PodLogs, queue: Queue, list_pods: Callable[[], Awaitable[Pods]]) -> None:
    """Puts each change of a job into the queue until the job has ended."""
    last: JobView | None = None
    told: dict[str, int] = {}
    async with contextlib.aclosing(watch.states()) as states:
        async for state in states:
            view = await asyncio.to_thread(job_view, state.job, state.pods, state.events.of_namespace)
            if view != last:
                await queue.put({"type": "status", **view})
                last = view
            await _tell_events(state.events, told, queue)
            logs.sync()
            if view["state"] in TERMINAL:
                break
    pods = await _newest_pods(list_pods, watch.pods)
    await logs.drain(pods)
    await _tell_events(watch.events(), told, queue)
    final = watch.current()
    if final is not None:
        await queue.put(
            {"type": "end", **await asyncio.to_thread(job_view, final.job, pods, final.events.of_namespace)}
        )
    elif last is not None:
        await queue.put({"type": "end", **last, "state": "Deleted"})


async def _tell_events(events: Events, told: dict[str, int], queue: Queue) -> None:
    """Every event once, and again when its count grows. `told` has the counts by uid."""
    for event in await asyncio.to_thread(events.about_job):
        view, uid = event_view(event), event["metadata"]["uid"]
        if told.get(uid) != view["count"]:
            told[uid] = view["count"]
            await queue.put({"type": "event", **view})


async def _newest_pods(list_pods: Callable[[], Awaitable[Pods]], pods: Informer) -> list[dict[str, Any]]:
    """The pods from the API, once it answers: their informer may lag behind the job's."""
    deadline = time.monotonic() + DRAIN_TIMEOUT
    while time.monotonic() < deadline:
        try:
            return await list_pods()
        except ApiError as error:
            log.info("%s; trying again", error)
        await asyncio.sleep(RETRY_EVERY)
    return pods.items()


async def _drain(queue: Queue, producer: Coroutine[Any, Any, None]) -> AsyncGenerator[Any, None]:
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


def _wake(queue: Queue) -> None:
    if not queue.full():
        queue.put_nowait(None)
