"""One job as it changes: its detail view, told again whenever job, pods or events change."""

import asyncio
from collections.abc import AsyncGenerator

from kf_spawner.kube import Client, Informer, Unreachable
from kf_spawner.kube.resources import EVENTS, PODS
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.workloads.job_view import job_selector
from kf_spawner.workloads.pod_logs import Changes
from kf_spawner.workloads.wire import JobDetail

from .job_detail import detail

SYNC_TIMEOUT = 20.0
PAUSE = 0.25  # seconds between two views: a job that starts changes many times a second


async def watch_job(client: Client, *, namespace: str, name: str, uid: str) -> AsyncGenerator[dict, None]:
    """{"type": "job", "job": detail} until the job with this uid is gone, then {"type": "gone"}."""
    changes = Changes()

    def changed(*_what: object) -> None:
        changes.notify()

    jobs = Informer(client, TFJOBS, namespace, field_selector=f"metadata.name={name}", on_change=changed)
    pods = Informer(client, PODS, namespace, label_selector=job_selector(name), on_change=changed)
    events = Informer(client, EVENTS, namespace, on_change=changed)
    async with jobs, pods, events:
        try:
            async with asyncio.timeout(SYNC_TIMEOUT):
                await asyncio.gather(jobs.synced(), pods.synced(), events.synced())
        except TimeoutError as error:
            raise Unreachable("watching the job did not begin in time") from error
        last: JobDetail | None = None
        while True:
            seen = changes.count
            job = jobs.get(f"{namespace}/{name}")
            if job is None or job["metadata"]["uid"] != uid:
                yield {"type": "gone"}
                return
            view = detail(job, pods.items(), events.items())
            if view != last:
                yield {"type": "job", "job": view}
                last = view
            await asyncio.sleep(PAUSE)
            await changes.beyond(seen)
