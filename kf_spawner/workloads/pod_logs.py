"""Logs of a set of pods as one stream: waits for pods to come, follows each one, loses and repeats no line.

Following is only the quick way. The truth is a last plain read of a container that has ended, resumed at the last
line seen: neither a connection that breaks off, nor an API server or node that is started anew, costs a line.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from kf_spawner.kube import ApiError, Client, Informer, NotFound

log = logging.getLogger(__name__)

RETRY_EVERY = 1.0
DRAIN_TIMEOUT = 20.0


class Changes:
    """Counts changes and wakes who waits for more than it has seen, so that none is missed."""

    def __init__(self) -> None:
        self.count = 0
        self._event = asyncio.Event()

    def notify(self) -> None:
        self.count += 1
        self._event.set()
        self._event = asyncio.Event()

    async def beyond(self, seen: int, *, timeout: float | None = None) -> None:
        """Returns once `count` is above `seen`, or after `timeout` seconds."""
        if self.count > seen:
            return
        try:
            async with asyncio.timeout(timeout):
                await self._event.wait()
        except TimeoutError:
            return


@dataclass
class Position:
    """The last line seen: its time, and how many lines of that very time were seen."""

    stamp: tuple[datetime, int] | None = None
    count: int = 0

    def since_seconds(self) -> int | None:
        """What to ask the API for, so that the answer holds all that is newer (and some that is not)."""
        if self.stamp is None:
            return None
        return max(1, math.ceil((datetime.now(UTC) - self.stamp[0]).total_seconds()) + 1)


async def read_lines(
    client: Client,
    namespace: str,
    pod: str,
    container: str,
    position: Position,
    *,
    follow: bool = False,
    previous: bool = False,
    tail: int | None = None,
) -> AsyncGenerator[tuple[str, str], None]:
    """(time, line) of a container's log, after `position`, which moves along."""
    resumed, skip = position.stamp, position.count
    stream = client.logs(
        namespace,
        pod,
        container,
        follow=follow,
        previous=previous,
        timestamps=True,
        tail_lines=tail,
        since_seconds=None if previous else position.since_seconds(),
    )
    async with aclosing(stream):
        async for raw in stream:
            text = raw.decode(errors="replace").rstrip("\n")
            written, _, line = text.partition(" ")
            stamp = parse_time(written)
            if stamp is None:  # a message of the kubelet's own
                yield "", text
                continue
            if resumed is not None and stamp <= resumed and (stamp < resumed or skip > 0):
                skip -= stamp == resumed
                continue
            yield written, line
            # Only now has the caller got it: a reader that is cancelled while it hands a line on reads it again.
            if stamp == position.stamp:
                position.count += 1
            else:
                position.stamp, position.count = stamp, 1


def parse_time(text: str) -> tuple[datetime, int] | None:
    """(whole second, nanoseconds) of an RFC 3339 time with any number of digits; None if it is none."""
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Z").partition("+")[0].partition("-")[0]
    zone = rest[len(digits) :] if rest else ""
    try:
        return datetime.fromisoformat(whole + zone).astimezone(UTC), int(digits.ljust(9, "0")[:9] or 0)
    except ValueError:
        return None


class PodLog:
    """One pod's log, followed to its end across restarts of its container; `tail`: from that many lines back on."""

    def __init__(
        self,
        client: Client,
        pod: dict,
        *,
        replica: str,
        container: str | None,
        queue: asyncio.Queue,
        tail: int | None = None,
    ):
        meta = pod["metadata"]
        self._client = client
        self._namespace, self._name, self.uid = meta["namespace"], meta["name"], meta["uid"]
        self._replica = replica
        self._container = container or pod["spec"]["containers"][0]["name"]
        self._queue = queue
        self._tail = tail
        self._position = Position()
        self._restarts = 0

    async def follow(self, current: Callable[[], dict | None], changes: Changes) -> None:
        """Puts every line into the queue until the pod has ended; `current` gives the pod's newest state."""
        while (pod := current()) is not None:
            container, finished = container_status(pod, self._container), is_finished(pod)
            patience = None
            if has_started(container):
                try:
                    await self._catch_up(container)
                    await self._read(follow=not finished)
                except ApiError as error:
                    log.info("the log of %s broke off: %s; resuming", self._name, error)
                    finished = False
                    patience = RETRY_EVERY
                if "running" in container["state"]:
                    patience = RETRY_EVERY
            if finished:
                return
            await _until_changed(pod, current, changes, patience)

    async def drain(self, pod: dict) -> None:
        """The rest of the log as it is now; says so where it could not be had for DRAIN_TIMEOUT seconds."""
        container = container_status(pod, self._container)
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while has_started(container):
            try:
                await self._catch_up(container)
                await self._read(follow=False)
                return
            except NotFound:
                return
            except ApiError as error:
                if time.monotonic() > deadline:
                    await self._put("", f"(the rest of this log cannot be read: {error.message})")
                    return
                log.info("the log of %s cannot be read: %s; trying again", self._name, error)
            await asyncio.sleep(RETRY_EVERY)

    async def _catch_up(self, container: dict) -> None:
        """After a restart: what the container before this one still had to say."""
        restarts = container.get("restartCount", 0)
        if restarts > self._restarts and (self._tail is None or self._position.stamp is not None):
            try:
                await self._read(follow=False, previous=True)
            except ApiError as error:
                if error.status not in (400, 404):  # it left no log
                    raise
        self._restarts = restarts

    async def _read(self, *, follow: bool, previous: bool = False) -> None:
        lines = read_lines(
            self._client,
            self._namespace,
            self._name,
            self._container,
            self._position,
            follow=follow,
            previous=previous,
            tail=self._tail if self._position.stamp is None else None,
        )
        async with aclosing(lines):
            async for written, line in lines:
                await self._put(written, line)

    async def _put(self, written: str, line: str) -> None:
        await self._queue.put({"type": "log", "replica": self._replica, "time": written, "line": line})


class PodLogs:
    """The logs of all pods of an informer, new ones included; lines go to `queue`. Call `sync` at each change.

    `name_of` gives a pod's replica name, or None for a pod that is not wanted; of each log at most the last `tail`
    lines are told. An async context manager that owns the tasks that follow.
    """

    def __init__(
        self,
        client: Client,
        pods: Informer,
        changes: Changes,
        queue: asyncio.Queue,
        *,
        name_of: Callable[[dict], str | None],
        container: str | None = None,
        tail: int | None = None,
    ):
        self._client = client
        self._pods = pods
        self._changes = changes
        self._queue = queue
        self._name_of = name_of
        self._container = container
        self._tail = tail
        self._logs: dict[str, PodLog] = {}
        self._tasks: dict[str, asyncio.Task] = {}

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

    async def drain(self, pods: list[dict]) -> None:
        """Ends the following; returns when all that is in the logs of `pods` is in the queue.

        `pods` come straight from the API: the informer may not have heard yet that they ended, or that they began.
        """
        finished = {uid for uid, task in self._tasks.items() if task.done()}
        await self._stop()
        logs = [(self._log_of(pod), pod) for pod in pods if pod["metadata"]["uid"] not in finished]
        await asyncio.gather(*(follower.drain(pod) for follower, pod in logs if follower is not None))

    def _log_of(self, pod: dict) -> PodLog | None:
        uid, replica = pod["metadata"]["uid"], self._name_of(pod)
        if uid not in self._logs and replica is not None:
            self._logs[uid] = PodLog(
                self._client,
                pod,
                replica=replica,
                container=self._container,
                queue=self._queue,
                tail=self._tail,
            )
        return self._logs.get(uid)

    async def _stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _finder(self, pod: dict) -> Callable[[], dict | None]:
        uid = pod["metadata"]["uid"]
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"

        def current() -> dict | None:
            found = self._pods.get(key)
            return found if found is not None and found["metadata"]["uid"] == uid else None

        return current


async def _until_changed(
    pod: dict, current: Callable[[], dict | None], changes: Changes, timeout: float | None
) -> None:
    """Returns when `pod` is not the newest state of it any more, or after `timeout` seconds."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while current() is pod:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return
        await changes.beyond(changes.count, timeout=left)


def _report(task: asyncio.Task) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s ended unexpectedly", task.get_name(), exc_info=task.exception())


def container_status(pod: dict, container: str) -> dict:
    """The status of one container; empty when there is none yet."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        if status["name"] == container:
            return status
    return {}


def has_started(container: dict) -> bool:
    """Whether the container has, or had, a log."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    return bool(state.keys() & {"running", "terminated"} or "terminated" in last)


def is_finished(pod: dict) -> bool:
    """Whether nothing of the pod will run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
