"""Startup, readiness and liveness probes of one running attempt, with the kubelet's defaults.

Decides nothing about restarts: it reports its results to its owner.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from .actions import ActionFailed, Answer


@dataclass(frozen=True)
class Timing:
    """A probe's settings, in seconds and counts."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: dict[str, Any]) -> "Timing":
        return cls(
            initial_delay=probe.get("initialDelaySeconds") or 0,
            period=probe.get("periodSeconds") or 10,
            timeout=probe.get("timeoutSeconds") or 1,
            successes=probe.get("successThreshold") or 1,
            failures=probe.get("failureThreshold") or 3,
        )


@dataclass
class Verdict:
    """Turns single results into a verdict: None until a threshold is reached. Pure."""

    timing: Timing
    opinion: bool | None = None
    _last: bool | None = None
    _run: int = 0

    def add(self, result: bool) -> bool | None:
        """The verdict after one more result."""
        self._run = self._run + 1 if result == self._last else 1
        self._last = result
        if self._run >= (self.timing.successes if result else self.timing.failures):
            self.opinion = result
        return self.opinion


Perform = Callable[[dict[str, Any], float], Awaitable[Answer | None]]
Report = Callable[[str, str], None]


class Probes:
    """Runs the probes of a container until it is cancelled.

    `perform(handler, timeout)` raises ActionFailed. It calls `unhealthy(kind, message)` for every failed probe,
    `doubtful(kind, message)` for a success with a warning, and `on_started()` and `on_ready(bool)` once per change.
    """

    def __init__(
        self,
        container: dict[str, Any],
        *,
        age: float,
        perform: Perform,
        unhealthy: Report,
        doubtful: Report,
        on_started: Callable[[], None],
        on_ready: Callable[[bool], None],
    ):
        self._container = container
        self._born = time.monotonic() - age
        self._perform = perform
        self._unhealthy = unhealthy
        self._doubtful = doubtful
        self._on_started = on_started
        self._on_ready = on_ready

    async def run(self, *, started: bool = False, ready: bool = False) -> str | None:
        """Returns the kind of the probe that failed, or None if there is nothing left to probe.

        `started` and `ready` tell what this attempt reached under an earlier node.
        """
        startup = None if started else self._container.get("startupProbe")
        if startup and not await self._until_started(startup):
            return "startup"
        self._on_started()
        tasks = set()
        if probe := self._container.get("readinessProbe"):
            tasks.add(asyncio.create_task(self.readiness(probe, ready)))
        else:
            self._on_ready(True)
        if probe := self._container.get("livenessProbe"):
            tasks.add(asyncio.create_task(self._liveness(probe)))
        if not tasks:
            return None
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # only the liveness probe ends by itself
            return "liveness"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _until_started(self, probe: dict[str, Any]) -> bool:
        verdict = Verdict(Timing.of(probe))
        await self._wait_first(verdict.timing)
        while (opinion := verdict.add(await self._ask("Startup", probe, verdict.timing))) is None:  # noqa: ASYNC110
            await asyncio.sleep(verdict.timing.period)
        return opinion

    async def readiness(self, probe: dict[str, Any], ready: bool) -> None:
        """Runs the readiness probe only, until cancelled."""
        verdict = Verdict(Timing.of(probe), opinion=ready)
        if ready:
            self._on_ready(True)
        await self._wait_first(verdict.timing)
        while True:
            before = verdict.opinion
            if verdict.add(await self._ask("Readiness", probe, verdict.timing)) != before:
                self._on_ready(bool(verdict.opinion))
            await asyncio.sleep(verdict.timing.period)

    async def _liveness(self, probe: dict[str, Any]) -> None:
        verdict = Verdict(Timing.of(probe), opinion=True)
        await self._wait_first(verdict.timing)
        while verdict.add(await self._ask("Liveness", probe, verdict.timing)):  # noqa: ASYNC110
            await asyncio.sleep(verdict.timing.period)

    async def _wait_first(self, timing: Timing) -> None:
        await asyncio.sleep(max(0.0, timing.initial_delay - (time.monotonic() - self._born)))

    async def _ask(self, kind: str, probe: dict[str, Any], timing: Timing) -> bool:
        try:
            answer = await self._perform(probe, timing.timeout)
            if answer and not 200 <= answer.status < 400:
                raise ActionFailed(f"HTTP probe failed with statuscode: {answer.status}")
        except ActionFailed as failure:
            self._unhealthy(kind, str(failure))
            return False
        if answer and answer.away:
            self._doubtful(kind, f"Probe terminated redirects, Response body: {answer.body}")
        return True
