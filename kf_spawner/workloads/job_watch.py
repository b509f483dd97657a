"""One TFJob as it changes: the job, its pods and its events, for every stream about a job.

Watches resume when the API server restarts.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Set
from dataclasses import dataclass
from typing import Any

from kf_spawner.kube import Client, Informer, Unreachable
from kf_spawner.kube.resources import EVENTS, PODS
from kf_spawner.tfjob.names import TFJOBS

from .change_count import ChangeCount
from .job_view import events_about, job_selector

SYNC_TIMEOUT = 60.0


@dataclass(frozen=True)
class Events:
    """All events of a namespace, and the uids of a job and of all pods of it seen so far."""

    uids: Set[str]
    of_namespace: list[dict[str, Any]]

    def about_job(self) -> list[dict[str, Any]]:
        """Those about the job and its pods, the oldest first. It may take long: call it in a thread."""
        return events_about(self.uids, self.of_namespace)


@dataclass(frozen=True)
class JobNow:
    """What is known of a job at one time."""

    job: dict[str, Any]
    pods: list[dict[str, Any]]
    events: Events


class JobWatch:
    """The newest state of the job that has this name and uid. An async context manager.

    `pods` is the informer of its pods; `changes` counts every change of job, pods and events.
    """

    def __init__(self, client: Client, *, namespace: str, name: str, uid: str):
        self._key = f"{namespace}/{name}"
        self._uid = uid
        self._uids = {uid}
        self.changes = ChangeCount()
        changed = self.changes.notify
        self._jobs = Informer(client, TFJOBS, namespace, field_selector=f"metadata.name={name}", on_change=changed)
        self.pods = Informer(client, PODS, namespace, label_selector=job_selector(name), on_change=changed)
        self._events = Informer(client, EVENTS, namespace, on_change=changed)
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "JobWatch":
        """Raises Unreachable when the first lists do not come in time."""
        informers = (self._jobs, self.pods, self._events)
        async with contextlib.AsyncExitStack() as stack:
            for informer in informers:
                await stack.enter_async_context(informer)
            await synced(*informers)
            self._open = stack.pop_all()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._open.aclose()

    def current(self) -> JobNow | None:
        """The newest state; None when the job is gone, or another one has its name."""
        job = self._jobs.get(self._key)
        if job is None or job["metadata"]["uid"] != self._uid:
            return None
        return JobNow(job, self.pods.items(), self.events())

    def events(self) -> Events:
        """The events now, also when the job is gone."""
        self._uids.update(pod["metadata"]["uid"] for pod in self.pods.items())
        return Events(self._uids, self._events.items())

    async def states(self, *, pause: float = 0.0) -> AsyncGenerator[JobNow, None]:
        """The state now and after every change, until the job is gone, `pause` seconds apart."""
        while True:
            seen = self.changes.count
            state = self.current()
            if state is None:
                return
            yield state
            await asyncio.sleep(pause)
            await self.changes.beyond(seen)


async def synced(*informers: Informer) -> None:
    """Returns once all have their first list. Raises Unreachable when that takes longer than SYNC_TIMEOUT."""
    try:
        async with asyncio.timeout(SYNC_TIMEOUT):
            for informer in informers:
                await informer.synced()
    except TimeoutError as error:
        raise Unreachable("watching did not begin in time") from error
