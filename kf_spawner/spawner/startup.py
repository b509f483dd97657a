"""Waits for a new pod until its server answers, or until it is clear that it never will. Only reads.

Owns the waiting: for the pod's state and events, for the server's first answer, and how long a cause may last.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from kf_spawner.kube import ApiError, Informer
from kf_spawner.kube.resources import EVENTS, NODES

from . import errors, progress_text
from .cluster import Cluster
from .diagnosis import Cause, Diagnosis, diagnose, of_taints
from .progress import Progress

log = logging.getLogger(__name__)

PROBE_TIMEOUT = 5.0
"""Seconds that one request to the server may take."""

WORTH_SAYING = 1.5
"""Seconds that a trouble must last to be told: a new claim, for one, is always unbound at first."""

_LOG_LIMIT = 4000  # characters of a log that a page can show


class Startup:
    """One wait for one pod.

    `claims` are the pod's, `new_claims` those that this start created: progress tells only about their creation.
    `patience` is in seconds for each cause (none: final at once), `answer_timeout` in seconds from the pod's running.
    `address` gives the URL to ask for a running pod; any answer below 500 counts, as it does for JupyterHub.
    """

    def __init__(
        self,
        *,
        cluster: Cluster,
        progress: Progress,
        pod: dict[str, Any],
        claims: set[str],
        new_claims: set[str],
        container: str,
        address: Callable[[dict[str, Any]], str],
        patience: Mapping[Cause, float],
        answer_timeout: float,
        log_tail_lines: int,
    ):
        self._cluster = cluster
        self._progress = progress
        self._namespace: str = pod["metadata"]["namespace"]
        self._name: str = pod["metadata"]["name"]
        self._uid: str = pod["metadata"]["uid"]
        self._claims = claims
        self._new_claims = new_claims
        self._container = container
        self._address = address
        self._patience = patience
        self._answer_timeout = answer_timeout
        self._log_tail_lines = log_tail_lines
        self._events: dict[str, dict[str, Any]] = {}
        self._changed = asyncio.Event()
        self._suspected: tuple[Diagnosis, float] | None = None
        self._seen = False
        self._steps_said: set[str] = set()

    async def wait(self) -> dict[str, Any]:
        """The pod, once its server answers. Raises SpawnFailed with the cause."""
        events = Informer(self._cluster.client, EVENTS, self._namespace, on_change=self._on_event)
        with self._cluster.changes(f"{self._namespace}/{self._name}") as self._changed:
            async with events:
                return await self._wait()

    async def _wait(self) -> dict[str, Any]:
        async with contextlib.AsyncExitStack() as stack:
            answered: asyncio.Task[None] | None = None
            while True:
                self._changed.clear()
                pod = self._cluster.pods.get(f"{self._namespace}/{self._name}")
                self._say_steps(pod)
                time_left = await self._check(pod)
                if answered is None and pod is not None and is_running(pod):
                    self._progress.say("The notebook server's container runs; waiting for its first answer.", 80)
                    answered = asyncio.create_task(self._answers(self._address(pod)))
                    stack.push_async_callback(_cancelled, answered)
                if answered is not None and answered.done() and pod is not None:
                    answered.result()
                    return pod
                changed = asyncio.create_task(self._changed.wait())
                await asyncio.wait(
                    {changed, answered} if answered else {changed},
                    timeout=time_left,
                    return_when=asyncio.FIRST_COMPLETED,
                )
                await _cancelled(changed)

    def _say_steps(self, pod: dict[str, Any] | None) -> None:
        if pod is None or pod["metadata"]["uid"] != self._uid:
            return
        for percent, text in progress_text.steps(pod, self._container):
            if text not in self._steps_said:
                self._steps_said.add(text)
                self._progress.say(text, percent)

    async def _check(self, pod: dict[str, Any] | None) -> float | None:
        """Seconds that the present trouble may still last; None without any. Raises SpawnFailed when it is final."""
        found = self._diagnose(pod)
        if found is not None and found.cause == Cause.ROOM:
            with contextlib.suppress(ApiError):
                found = of_taints(found, (await self._cluster.client.list(NODES))["items"])
        if found is None:
            self._suspected = None
            return None
        now = time.monotonic()
        if self._suspected is None or self._suspected[0].cause != found.cause:
            self._suspected = (found, now)
        lasts = now - self._suspected[1]
        time_left = self._patience.get(found.cause, 0) - lasts
        if time_left <= 0:
            raise errors.failed(found, log_tail=await self._log_tail() if found.crashed else "")
        if lasts < WORTH_SAYING:
            return min(time_left, WORTH_SAYING - lasts)
        said = f" Kubernetes says: {found.detail[:300]}" if found.detail else ""
        self._progress.say(f"Waiting: {found.message}{said}")
        return time_left

    def _diagnose(self, pod: dict[str, Any] | None) -> Diagnosis | None:
        if pod is not None and pod["metadata"]["uid"] == self._uid and "deletionTimestamp" not in pod["metadata"]:
            self._seen = True
            return diagnose(pod, list(self._events.values()))
        if not self._seen:
            return None  # made a moment ago: the cache has not heard of it
        return Diagnosis(Cause.GONE, "The server's pod was deleted while it started.", "Start the server again.")

    def _on_event(self, _key: str, _old: dict[str, Any] | None, event: dict[str, Any] | None) -> None:
        if event is None or not self._concerns_us(event.get("involvedObject", {})):
            return
        self._events.pop(event["metadata"]["uid"], None)  # a repeated one is the newest again
        self._events[event["metadata"]["uid"]] = event
        said = progress_text.sentence(event)
        if said is not None and self._is_news(event["involvedObject"], said):
            percent, text = said
            self._progress.say(text, percent, event=event)
        self._changed.set()

    def _is_news(self, involved: dict[str, Any], said: tuple[int | None, str]) -> bool:
        """A claim keeps its events from earlier starts, in no order, and who waits for it repeats that it does."""
        if involved.get("kind") != "PersistentVolumeClaim":
            return True
        percent, _ = said
        return involved.get("name") in self._new_claims and (percent is None or percent >= self._progress.percent)

    def _concerns_us(self, involved: dict[str, Any]) -> bool:
        if involved.get("kind") == "PersistentVolumeClaim":
            return involved.get("name") in self._claims
        return involved.get("uid") == self._uid

    async def _answers(self, url: str) -> None:
        """Returns at the server's first answer; asks often at first, and never later than by a twentieth."""
        started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    async with session.get(url, allow_redirects=False) as response:
                        if response.status < 500:
                            return
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    log.debug("%s does not answer yet: %s", url, error)
                waited = time.monotonic() - started
                if waited > self._answer_timeout:
                    silent = Diagnosis(
                        Cause.SILENT,
                        f"The server runs but did not answer within {self._answer_timeout:.0f} seconds.",
                        "The end of its log may say why; start it again, or choose another image.",
                        crashed=True,
                    )
                    raise errors.failed(silent, log_tail=await self._log_tail())
                await asyncio.sleep(min(max(0.05, waited / 20), 2.0))

    async def _log_tail(self) -> str:
        end = b""
        try:
            tail = self._cluster.client.logs(
                self._namespace, self._name, self._container, tail_lines=self._log_tail_lines
            )
            async with contextlib.aclosing(tail) as stream:
                async for piece in stream:
                    end = (end + piece)[-4 * _LOG_LIMIT :]  # a character has four bytes at most
        except ApiError as error:
            log.warning("the log of %s/%s cannot be read: %s", self._namespace, self._name, error)
        return end.decode(errors="replace")[-_LOG_LIMIT:]


def is_running(pod: dict[str, Any]) -> bool:
    """Whether all containers of a pod run and it can be reached."""
    status = pod.get("status", {})
    containers = status.get("containerStatuses") or []
    return (
        status.get("phase") == "Running"
        and bool(status.get("podIP"))
        and bool(containers)
        and all(container.get("ready") for container in containers)
        and "deletionTimestamp" not in pod["metadata"]
    )


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
