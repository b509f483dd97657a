"""Logs of a set of pods as one stream: waits for pods, follows each one, and neither loses nor repeats a line.

Following is fast but may break off. So the log of a container that has ended is read once more, from the last line
that was sent on. No line is lost when a connection breaks, or when an API server or a node restarts.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from kf_spawner.kube import ApiError, Client, Informer, NotFound

from .change_count import ChangeCount
from .container_log import ContainerRun, container_status, has_started, is_finished, read_log, read_tail
from .log_cursor import Cursor, Line, LogReading
from .wire import LogItem

log = logging.getLogger(__name__)

RETRY_EVERY = 1.0
DRAIN_TIMEOUT = 20.0
Queue = asyncio.Queue[Any]
NameOf = Callable[[dict[str, Any]], str | None]
"""Returns a pod's replica name, or None for a pod to leave out."""


class PodLog:
    """One pod's log, followed to its end across restarts of its container.

    It begins after the line `after`, else at most `tail` lines back, else at the beginning.
    """

    def __init__(
        self,
        client: Client,
        pod: dict[str, Any],
        *,
        replica: str,
        container: str | None,
        queue: Queue,
        tail: int | None = None,
        after: Cursor | None = None,
    ):
        meta = pod["metadata"]
        self._client = client
        self._namespace, self._name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self._replica = replica
        self._container = container or pod["spec"]["containers"][0]["name"]
        self._queue = queue
        self._tail = tail
        self._cursor = after
        self._restarts = after.restart if after else 0

    async def follow(self, current: Callable[[], dict[str, Any] | None], changes: ChangeCount) -> None:
        """Puts every line into the queue until the pod has ended; `current` gives the pod's newest state."""
        while (pod := current()) is not None:
            container, finished = container_status(pod, self._container), is_finished(pod)
            patience = None
            if has_started(container):
                try:
                    await self._catch_up(container)
                    before = await self._read(self._run(), growing=not finished)
                    if not finished:
                        await self._read_on(self._run(), before.last)
                except ApiError as error:
                    log.info("the log of %s broke off: %s; resuming", self._name, error)
                    finished = False
                    patience = RETRY_EVERY
                if "running" in container["state"]:
                    patience = RETRY_EVERY
            if finished:
                return
            await _until_changed(pod, current, changes, patience)

    async def drain(self, pod: dict[str, Any]) -> None:
        """Sends on the rest of the log; a message instead if it cannot be read for DRAIN_TIMEOUT seconds."""
        container = container_status(pod, self._container)
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while has_started(container):
            try:
                await self._catch_up(container)
                await self._read(self._run())
                return
            except NotFound:
                return
            except ApiError as error:
                if time.monotonic() > deadline:
                    await self._put(Line("", f"(the rest of this log cannot be read: {error.message})", None))
                    return
                log.info("the log of %s cannot be read: %s; trying again", self._name, error)
            await asyncio.sleep(RETRY_EVERY)

    async def _catch_up(self, container: dict[str, Any]) -> None:
        """After a restart: sends on the remaining lines of the previous run."""
        restarts = container.get("restartCount", 0)
        if restarts > self._restarts and (self._tail is None or self._cursor is not None):
            self._restarts = restarts - 1
            try:
                before = await self._read(self._run(previous=True))
            except ApiError as error:
                if error.status not in (400, 404):  # it left no log
                    raise
            else:
                if not before.missed:  # all lines up to the restart are sent on, and none after it
                    self._cursor = self._tail = None
        self._restarts = restarts

    def _run(self, *, previous: bool = False) -> ContainerRun:
        return ContainerRun(self._namespace, self._name, self.uid, self._container, self._restarts, previous)

    async def _read(self, run: ContainerRun, *, growing: bool = False) -> LogReading:
        """Sends on the new lines of the log as it is now."""
        reading = LogReading(run.uid, run.restart, self._cursor)
        if self._tail is not None and self._cursor is None:
            lines = read_tail(self._client, run, reading, self._tail, growing=growing)
        else:
            lines = read_log(self._client, run, reading, since=self._since(run), growing=growing)
        await self._tell(lines)
        return reading

    async def _read_on(self, run: ContainerRun, end: Cursor | None) -> None:
        """Sends on the lines after the line `end` as they are written."""
        reading = LogReading(run.uid, run.restart, end)
        since = end.since if end else self._since(run)
        await self._tell(read_log(self._client, run, reading, since=since, follow=True))

    def _since(self, run: ContainerRun) -> str | None:
        cursor = self._cursor
        return cursor.since if cursor is not None and cursor.restart == run.restart else None

    async def _tell(self, lines: AsyncGenerator[Line, None]) -> None:
        async with aclosing(lines):
            async for line in lines:
                await self._put(line)
                # The caller has the line only now: a reader that is cancelled before reads it again.
                self._cursor = line.cursor or self._cursor

    async def _put(self, line: Line) -> None:
        await self._queue.put(log_item(self._replica, line))


class PodLogs:
    """The logs of all pods of an informer, new ones included; lines go to `queue`. Call `sync` at each change.

    `after` has the line, by the pod's uid, after which a log continues. Any other log begins at most `tail` lines
    back. An async context manager that owns the tasks that follow.
    """

    def __init__(
        self,
        client: Client,
        pods: Informer,
        changes: ChangeCount,
        queue: Queue,
        *,
        name_of: NameOf,
        container: str | None = None,
        tail: int | None = None,
        after: Mapping[str, Cursor] | None = None,
    ):
        self._client = client
        self._pods = pods
        self._changes = changes
        self._queue = queue
        self._name_of = name_of
        self._container = container
        self._tail = tail
        self._after = after or {}
        self._logs: dict[str, PodLog] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "PodLogs":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stop()

    def sync(self) -> None:
        """Starts to follow each pod that is not followed yet."""
        for pod in self._pods.items():
            uid = pod["metadata"]["uid"]
            follower = self._log_of(pod)
            if follower is None or uid in self._tasks:
                continue
            task = asyncio.create_task(follower.follow(self._finder(pod), self._changes), name=f"log of {uid}")
            task.add_done_callback(_report)
            self._tasks[uid] = task

    async def drain(self, pods: list[dict[str, Any]]) -> None:
        """Stops following. Returns when all lines of the logs of `pods` are in the queue.

        `pods` come straight from the API: the informer may not know yet that they started or ended.
        """
        finished = {uid for uid, task in self._tasks.items() if task.done()}
        await self._stop()
        logs = [(self._log_of(pod), pod) for pod in pods if pod["metadata"]["uid"] not in finished]
        await asyncio.gather(*(follower.drain(pod) for follower, pod in logs if follower is not None))

    def _log_of(self, pod: dict[str, Any]) -> PodLog | None:
        uid, replica = pod["metadata"]["uid"], self._name_of(pod)
        if uid not in self._logs and replica is not None:
            self._logs[uid] = PodLog(
                self._client,
                pod,
                replica=replica,
                container=self._container,
                queue=self._queue,
                tail=self._tail,
                after=self._after.get(uid),
            )
        return self._logs.get(uid)

    async def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _finder(self, pod: dict[str, Any]) -> Callable[[], dict[str, Any] | None]:
        uid = pod["metadata"]["uid"]
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

        def current() -> dict[str, Any] | None:
            found = self._pods.get(key)
            return found if found is not None and found["metadata"]["uid"] == uid else None

        return current


def log_item(replica: str, line: Line) -> LogItem:
    """A line as the stream has it."""
    cursor = str(line.cursor) if line.cursor else ""
    item: LogItem = {"type": "log", "replica": replica, "time": line.time, "line": line.text, "cursor": cursor}
    return {**item, "continues": True} if line.continues else item


async def _until_changed(
    pod: dict[str, Any], current: Callable[[], dict[str, Any] | None], changes: ChangeCount, timeout: float | None
) -> None:
    """Returns when the pod has a newer state than `pod`, or after `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while current() is pod:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        await changes.beyond(changes.count, timeout=left)


def _report(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended unexpectedly", task.get_name(), exc_info=task.exception())
