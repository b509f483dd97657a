"""The streams of a job's page: its detail view whenever something changes, and its logs."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal

from kf_spawner.kube import Client
from kf_spawner.workloads.job_watch import JobNow, JobWatch
from kf_spawner.workloads.wire import (
    JobDetail,
    JobPageItem,
    JobState,
    JobStreamItem,
    LogItem,
    LogStreamItem,
    ReplicaState,
)

from .job_detail import detail

Aside = Callable[[Callable[[JobNow], JobDetail], JobNow], Awaitable[JobDetail]]
PAUSE = 0.25  # seconds between two views: a job that starts changes many times a second


async def detail_stream(
    client: Client, *, namespace: str, name: str, uid: str, aside: Aside
) -> AsyncGenerator[JobPageItem, None]:
    """`job` items until the job with this uid is gone, then `gone`. `aside` runs what takes long in a thread."""
    last: JobDetail | None = None
    async with (
        JobWatch(client, namespace=namespace, name=name, uid=uid) as watch,
        contextlib.aclosing(watch.states(pause=PAUSE)) as states,
    ):
        async for state in states:
            view = await aside(_view, state)
            if view != last:
                yield {"type": "job", "job": view}
                last = view
    yield {"type": "gone"}


def _view(state: JobNow) -> JobDetail:
    return detail(state.job, state.pods, state.events.about_job())


async def log_stream(
    items: AsyncGenerator[JobStreamItem, None] | AsyncGenerator[LogItem, None], *, state: JobState | Literal[""] = ""
) -> AsyncGenerator[LogStreamItem, None]:
    """The log lines of a stream, the replicas' states as they change, and as the last item the job's state.

    `state` is for a stream that does not have it.
    """
    told: dict[str, ReplicaState] = {}
    async with contextlib.aclosing(items):
        async for item in items:
            if item["type"] == "log":
                yield item
            elif item["type"] == "status":
                states = {view["replica"]: view["state"] for view in item["replicas"]}
                if states != told:
                    yield {"type": "states", "replicas": states}
                    told = states
            elif item["type"] == "end":
                state = item["state"]
    yield {"type": "end", "state": state}
