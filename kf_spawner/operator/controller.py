"""The reconcile loop: takes what the informers see, asks for a pure decision, sends requests. May not decide."""

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from kf_spawner.kube import ApiError, Client, Conflict, EventRecorder, Informer, Invalid
from kf_spawner.kube.nodes import find_lost
from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.tfjob import ownership
from kf_spawner.tfjob.names import SELECTOR, TFJOBS
from kf_spawner.tfjob.plan import Plan, Refusal
from kf_spawner.tfjob.podgroup import Gang
from kf_spawner.tfjob.podgroup import digest as digest_of_group
from kf_spawner.tfjob.pods import digest, late_nodes
from kf_spawner.tfjob.reconcile import decide

from .apply import UNSEEN_AFTER, Applier, Outcome, pod_groups_of
from .memory import give_back
from .metrics import Metrics
from .pace import Pace
from .queue import QueueClosed, WorkQueue
from .trim import trim_pod, trim_service
from .view import POD, POD_GROUP, SERVICE, View

log = logging.getLogger(__name__)

STOP_TIMEOUT = 10.0


def utc_now() -> datetime:
    return datetime.now(UTC)


class Controller:
    """Watches within `async with`; acts between `start` and `stop`. `namespace` None: all of the cluster."""

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        metrics: Metrics,
        *,
        namespace: str | None = None,
        workers: int = 8,
        cluster_domain: str = "",
        gang: Gang | None = None,
        claim_classes: Collection[str] = (),
        clock: Callable[[], datetime] = utc_now,
    ):
        self._client, self._metrics, self._workers = client, metrics, workers
        self._cluster_domain, self._gang, self._clock = cluster_domain, gang, clock
        self._claim_classes = claim_classes
        self._view, self._queue = View(), WorkQueue(metrics.queue_seconds.observe)
        self._applier = Applier(
            client,
            recorder,
            metrics,
            self._view,
            clock=clock,
            pace=Pace(self._queue),
            gang=gang,
            claim_classes=claim_classes,
        )
        self._refusals: dict[str, tuple[str, dict[str, Refusal]]] = {}  # by key: the job's uid, and by child
        self._tasks: list[asyncio.Task[None]] = []
        self._stack = contextlib.AsyncExitStack()
        children = functools.partial(Informer, client, namespace=namespace, label_selector=SELECTOR)
        self._informers = [
            Informer(client, TFJOBS, namespace, on_change=self._job_changed),
            children(PODS, on_change=self._pod_changed, keep=trim_pod),
            children(SERVICES, on_change=self._service_changed, keep=trim_service),
        ]
        # Not waited for: its kind may be installed later, and a group that is there is found when it is to be made.
        self._group_informers: list[Informer] = []
        if gang:
            self._group_informers.append(children(pod_groups_of(gang), on_change=self._group_changed))
        metrics.watch(
            queue_depth=lambda: len(self._queue), jobs=lambda: len(self._view), requests=lambda: client.requests
        )

    async def __aenter__(self) -> "Controller":
        for informer in [*self._informers, *self._group_informers]:
            await self._stack.enter_async_context(informer)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.stop()
        await self._stack.aclose()

    @property
    def is_synced(self) -> bool:
        return all(informer.is_synced for informer in self._informers)

    async def synced(self) -> None:
        """Returns once all informers have the cluster's state."""
        await asyncio.gather(*(informer.synced() for informer in self._informers))

    def start(self) -> None:
        """Begins to act; `synced` comes first."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(self._workers)]
        self._tasks.append(asyncio.create_task(self._sweep(), name="sweep"))

    async def stop(self) -> None:
        """Takes no new work, and lets current work end within STOP_TIMEOUT seconds."""
        self._queue.close()
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        tasks.pop().cancel()
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _job_changed(self, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if self._view.see_job(key, old, new):
            self._queue.add(key)
        if new is None:
            if self._tasks:  # one that stands by does not count what another one does
                self._metrics.count("deleted", key.partition("/")[0])
            log.info("job deleted", extra={"job": key})

    def _pod_changed(self, _key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        self._child_changed(POD, old, new, news=not (old and new and digest(old) == digest(new)))

    def _service_changed(self, _key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        news = not (old and new and ownership.digest(old) == ownership.digest(new))
        self._child_changed(SERVICE, old, new, news=news)

    def _group_changed(self, _key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        news = not (old and new and digest_of_group(old) == digest_of_group(new))
        self._child_changed(POD_GROUP, old, new, news=news)

    def _child_changed(
        self, kind: str, old: dict[str, Any] | None, new: dict[str, Any] | None, *, news: bool
    ) -> None:
        keys = self._view.see_child(kind, old, new)
        if new is not None:
            self._applier.saw(new)
        for key in keys if news else ():
            self._queue.add(key)

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            await self._take_turn(key)

    async def _take_turn(self, key: str) -> None:
        """Handles `key`, which `get` returned. In any case the queue learns when the key is due again."""
        began = time.perf_counter()
        try:
            await self._reconcile(key)
        except Conflict:
            log.debug("the job changed meanwhile; looking again", extra={"job": key})
            self._queue.retry(key)
        except Invalid as error:
            self._metrics.reconcile_errors.inc()
            self._queue.forget(key)
            log.warning("%s; left until the job changes", error, extra={"job": key})
        except ApiError as error:
            self._metrics.reconcile_errors.inc()
            log.warning("%s; trying again in %.1f s", error, self._queue.retry(key), extra={"job": key})
        except Exception:
            self._metrics.reconcile_errors.inc()
            log.exception("trying again in %.1f s", self._queue.retry(key), extra={"job": key})
        finally:
            self._metrics.reconcile_seconds.observe(time.perf_counter() - began)
            self._queue.done(key)

    async def _reconcile(self, key: str) -> None:
        known = self._view.of_job(key)
        job = known.job
        if job is None:  # nothing is kept of a job that is gone
            self._queue.forget(key)
            self._queue.mark(key, is_long=False)
            self._refusals.pop(key, None)
            return
        uid, refusals = self._refusals.pop(key, ("", {}))
        refusals = refusals if uid == job["metadata"]["uid"] else {}
        pods, now = list(known.pods.values()), self._clock()
        late = late_nodes(pods, now)
        # In a thread: a job of thousands of replicas takes long, and meanwhile all others would wait.
        plan = await asyncio.to_thread(
            decide,
            job,
            pods,
            list(known.services.values()),
            now=now,
            cluster_domain=self._cluster_domain,
            lost_nodes=await find_lost(self._client, late) if late else (),
            refusals=refusals,
            gang=self._gang,
            pod_groups=list(known.pod_groups.values()),
            claim_classes=self._claim_classes,
        )
        self._queue.mark(key, is_long=plan.is_partial)
        for event in plan.events:
            log.info("%s: %s", event.reason, event.message, extra={"job": key})
        outcome = await self._applier.carry_out(key, job, plan)
        refused = outcome.refusals
        if plan.is_partial:  # what this plan did not try is still refused, and its turn is before the rest
            refused = {name: said for name, said in refusals.items() if name not in plan.names} | refused
        if refused:
            self._refusals[key] = (job["metadata"]["uid"], refused)
        self._queue_again(key, plan, outcome)

    def _queue_again(self, key: str, plan: Plan, outcome: Outcome) -> None:
        is_final = any(refusal.final for refusal in outcome.refusals.values())
        if not outcome.is_told or is_final or (plan.is_partial and outcome.got_on):
            self._queue.add(key)
        elif outcome.refusals:
            self._queue.retry(key)
        if not outcome.refusals:
            self._queue.forget(key)
        if plan.requeue_after is not None:
            self._queue.add_after(key, plan.requeue_after)

    async def _sweep(self) -> None:
        """Looks at intervals for children that appeared and disappeared while no informer was watching.

        It also gives back memory, which is free when a large job is gone.
        """
        while True:
            await asyncio.sleep(UNSEEN_AFTER.total_seconds())
            give_back()
            try:
                for key in await self._applier.check_unseen():
                    self._queue.add(key)
            except ApiError as error:
                log.warning("looking for lost children: %s", error)
