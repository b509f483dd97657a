"""One container's log, read once: its lines with their cursors, from the start, from a cursor, or the last few."""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from kf_spawner.kube import Client

from .log_cursor import Line, LogReading

TAIL_SIZE = 8 * 1024 * 1024
"""Characters that are held while the last lines of a log are looked for."""


@dataclass(frozen=True)
class ContainerRun:
    """One run of a pod's container. `restart` numbers the runs from 0; `previous`: the run before the newest one.

    The API has the logs of a container's newest two runs.
    """

    namespace: str
    pod: str
    uid: str
    container: str
    restart: int
    previous: bool = False


async def read_log(
    client: Client,
    run: ContainerRun,
    reading: LogReading,
    *,
    since: str | None = None,
    follow: bool = False,
    growing: bool = False,
    tail: int | None = None,
) -> AsyncGenerator[Line, None]:
    """The lines written from `since` on that `reading` passes on. Raises ApiError.

    A long line comes in pieces, as `Client.log_lines` cuts it. `growing` (as `follow`): the log is read again later.
    An end without a newline is left for then, because more of it may come.
    """
    stream = client.log_lines(
        run.namespace,
        run.pod,
        run.container,
        follow=follow,
        previous=run.previous,
        timestamps=True,
        tail_lines=tail,
        since_time=since,
    )
    async with aclosing(stream):
        async for raw in stream:
            complete = raw.data.endswith(b"\n")
            if not (complete or raw.continues) and (follow or growing):
                break
            for line in reading.take(raw.data.decode(errors="replace").removesuffix("\n"), continues=raw.continues):
                yield line
    if not follow:  # a followed stream may have been cut off before the line to find
        for line in reading.rest():
            yield line


async def read_tail(
    client: Client, run: ContainerRun, reading: LogReading, count: int, *, growing: bool = False
) -> AsyncGenerator[Line, None]:
    """The last `count` lines that `reading` passes on, fewer where there are fewer. Raises ApiError.

    A piece of a long line counts as a line. All together have TAIL_SIZE characters at most.
    """
    since, found = None, 0
    async for line in read_log(client, run, LogReading(run.uid, run.restart), growing=growing, tail=count):
        since = since or (line.cursor.since if line.cursor else None)
        found += 1
    # Other lines may have the time of the first one: the numbers are right only if those are read, too.
    newest: deque[Line] = deque()
    size = 0
    async for line in read_log(client, run, reading, since=since if found >= count else None, growing=growing):
        newest.append(line)
        size += len(line.text)
        while len(newest) > count or size > TAIL_SIZE:
            size -= len(newest.popleft().text)
    for line in newest:
        yield line


def container_status(pod: dict[str, Any], container: str) -> dict[str, Any]:
    """The status of one container; empty when there is none yet."""
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == container), {})


def has_started(container: dict[str, Any]) -> bool:
    """Whether the container has, or had, a log."""
    state, last = container.get("state") or {}, container.get("lastState") or {}
    return bool(state.keys() & {"running", "terminated"} or "terminated" in last)


def is_finished(pod: dict[str, Any]) -> bool:
    """Whether none of the pod's containers will run again."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
