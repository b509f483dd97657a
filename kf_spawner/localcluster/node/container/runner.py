"""Runs one container of one pod: pull, configure, start, hooks, probes, end and restart.

Owns the view of the container (its part of the status) and its newest attempt. `run` returns when the container has
ended for good; cancelling it leaves the process alone. `stop` ends the process.
"""

import asyncio
import hashlib
import logging
import shutil
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from kf_spawner.k8s import times
from kf_spawner.kube import ApiError

from ..common import layout
from ..common.deadlines import Deadline, cancel
from ..common.pod_state import PodState
from ..common.pod_status import ContainerView, running, waiting
from ..common.restarts import INIT, restarts
from ..process.attempts import Attempt, Exit, StartFailed, attempts_of
from ..process.records import ShimSpec
from ..volume.manager import VolumeError
from .actions import ActionFailed, Answer, Target, perform
from .context import Context
from .environment import ContainerConfigError, Untranslatable
from .probes import Probes
from .pulling import Puller
from .shim_spec import build_shim_spec, translate_word
from .termination_message import termination_message

log = logging.getLogger(__name__)

AFTER_PRE_STOP = 2.0
HOOK_TIMEOUT = 600.0


class ContainerRunner:
    """`view` can be written as a status at any time; `up` is set while the container counts as started."""

    def __init__(
        self, context: Context, state: PodState, container: dict[str, Any], kind: str, *, later: bool = False
    ):
        self._context = context
        self._state = state
        self._container = container
        self.kind = kind
        self.name = container["name"]
        self.view = ContainerView(
            name=self.name,
            image=container["image"],
            kind=kind,
            state=waiting("PodInitializing" if later else "ContainerCreating"),
        )
        self.up = asyncio.Event()
        self.attempt: Attempt | None = None
        settings = context.settings
        self._crashes = settings.backoff()
        self._puller = Puller(
            context.images,
            container,
            backoff=settings.backoff(initial=settings.backoff_first),
            event=self._event,
            waiting=self.show_waiting,
        )
        self._killed_by_probe = False
        self._hook_failure = ""  # of the newest attempt's postStart
        self._load()

    # What an earlier node left behind

    def _load(self) -> None:
        directories = attempts_of(self._directory)
        while directories and self.attempt is None:
            self.attempt = Attempt.load(directories.pop())
        if self.attempt is None:
            return
        if directories and (previous := Attempt.load(directories[-1])):
            self._show_last(previous)
        self._show_running(self.attempt)
        if self.attempt.exit:
            self._show_end(self.attempt, self.attempt.exit)

    def _show_last(self, previous: Attempt) -> None:
        if previous.exit is None:
            previous.detach()
            return
        self.view.last_state = self._terminated(previous, previous.exit)

    def reported(self, status: dict[str, Any]) -> tuple[bool, bool]:
        """Whether the status in the API shows this attempt as started and as ready."""
        statuses = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
        for entry in statuses:
            if entry["name"] == self.name and entry.get("containerID") == self.view.container_id:
                return bool(entry.get("started")), bool(entry.get("ready"))
        return False, False

    # Life

    async def run(self) -> int:
        """Runs the container until it has ended for good; returns its last exit code."""
        if self.attempt is None:
            await self._start(0)
        while True:
            assert self.attempt is not None
            ended = await self._live(self.attempt)
            if not self.restarts(ended):
                return ended.code
            if self._hook_failure:
                await self.show_waiting("PostStartHookError", self._hook_failure)
            await self._pause(ended)
            await self._start(self.attempt.number + 1)

    def restarts(self, ended: Exit) -> bool:
        return restarts(
            pod_policy=self._state.restart_policy,
            container=self._container,
            kind=self.kind,
            code=ended.code,
            forced=self._killed_by_probe or ended.interrupted,
        )

    async def _start(self, number: int) -> None:
        while True:
            directory = self._directory / str(number)
            spec = await self._configured(directory)
            for old in attempts_of(self._directory):
                if int(old.name) < number - 1:
                    await asyncio.to_thread(shutil.rmtree, old)
            try:
                self._begin(number, spec)
                assert self.attempt is not None
                await self.attempt.started()
                break
            except (StartFailed, OSError) as error:
                log.exception("container %s of pod %s did not start", self.name, self._state)
                self._event("Warning", "Failed", f"Error: {error}")
                await self.show_waiting("RunContainerError", str(error))
                await asyncio.sleep(self._crashes.after())
                if self.attempt is not None:
                    await self.attempt.wait()
                number += 1
        await self._after_start(self.attempt)

    def _begin(self, number: int, spec: ShimSpec) -> None:
        """From here on the attempt exists, even if this node dies."""
        self._killed_by_probe = False
        self._hook_failure = ""
        self._event("Normal", "Created", "Container created")
        self.attempt = Attempt.start(self._directory / str(number), spec)

    async def _after_start(self, attempt: Attempt) -> None:
        if attempt.exit and attempt.exit.error:
            self._event("Warning", "Failed", f"Error: failed to start container {self.name!r}: {attempt.exit.error}")
            return
        self._event("Normal", "Started", "Container started")
        hook = (self._container.get("lifecycle") or {}).get("postStart")
        if hook and attempt.running:
            await self._post_start(hook)

    async def _post_start(self, hook: dict[str, Any]) -> None:
        assert self.attempt is not None
        hooking = asyncio.create_task(self._perform(hook, HOOK_TIMEOUT))
        ended = asyncio.create_task(self.attempt.wait())
        try:
            await asyncio.wait({hooking, ended}, return_when=asyncio.FIRST_COMPLETED)
            if hooking.done() and (failure := hooking.exception()):
                if not isinstance(failure, ActionFailed):
                    raise failure
                # The output of the hook may hold a secret: it goes into the status of the pod, not into its events.
                self._event("Warning", "FailedPostStartHook", "PostStartHook failed")
                self._killed_by_probe = True
                await self.stop(Deadline(self._state.grace_period), "FailedPostStartHook")
                self._hook_failure = f"PostStartHook failed: {failure}"
        finally:
            await cancel(hooking, ended)

    async def _configured(self, directory: Path) -> ShimSpec:
        """What the shim needs to start; tries until the image and all that the container names can be had."""
        retries = self._context.settings.backoff(initial=1.0)
        while True:
            image = await self._puller.image()
            try:
                return await build_shim_spec(self._context, self._state, self._container, image, directory)
            except (ContainerConfigError, Untranslatable, VolumeError, ApiError) as error:
                self._event("Warning", "Failed", f"Error: {error}")
                await self.show_waiting("CreateContainerConfigError", str(error))
                await asyncio.sleep(retries.after())

    async def _live(self, attempt: Attempt) -> Exit:
        """Waits until the attempt ends, by itself or because a probe failed."""
        if attempt.exit is None:
            self._show_running(attempt)
            ended = asyncio.create_task(attempt.wait())
            probing = asyncio.create_task(self._probe(attempt))
            try:
                await asyncio.wait({ended, probing}, return_when=asyncio.FIRST_COMPLETED)
                if not ended.done() and (kind := probing.result()):
                    await self._give_up(kind)
                await ended
            finally:
                await cancel(ended, probing)
        assert attempt.exit is not None
        self._show_end(attempt, attempt.exit)
        return attempt.exit

    async def _give_up(self, kind: str) -> None:
        self._killed_by_probe = True
        probe = self._container[f"{kind}Probe"]
        grace = probe.get("terminationGracePeriodSeconds")
        again = "" if self._state.restart_policy == "Never" else ", will be restarted"
        await self.stop(
            Deadline(self._state.grace_period if grace is None else grace),
            f"Container {self.name} failed {kind} probe{again}",
        )

    async def _pause(self, ended: Exit) -> None:
        """Waits in CrashLoopBackOff, unless the container ran for long enough."""
        if ended.interrupted:
            return
        delay = self._crashes.after(ran=ended.seconds)
        remaining = ended.finished_at / 1e9 + delay - time.time()
        if delay and remaining > 0:
            where = f"container={self.name} pod={self._state}"
            self._event(
                "Warning", "BackOff", f"Back-off restarting failed container {self.name} in pod {self._state}"
            )
            await self.show_waiting("CrashLoopBackOff", f"back-off {duration(delay)} restarting failed {where}")
            await asyncio.sleep(remaining)

    # Probes and hooks

    async def _probe(self, attempt: Attempt) -> str | None:
        started, ready = self.reported(self._state.pod.get("status") or {})
        return await self._probes(attempt).run(started=started, ready=ready)

    def _probes(self, attempt: Attempt) -> Probes:
        return Probes(
            self._container,
            age=time.time() - attempt.started_at / 1e9,
            perform=self._perform,
            unhealthy=lambda kind, message: self._event("Warning", "Unhealthy", f"{kind} probe failed: {message}"),
            doubtful=lambda kind, message: self._event("Warning", "ProbeWarning", f"{kind} probe warning: {message}"),
            on_started=self._show_started,
            on_ready=self._show_ready,
        )

    def _perform(self, action: dict[str, Any], timeout: float) -> Coroutine[Any, Any, Answer | None]:
        assert self.attempt is not None
        target = Target.of(self._container, ip=self._state.ip, spec=self.attempt.spec, translate=self.translate)
        return perform(action, target, self._context.http, timeout=timeout)

    def translate(self, word: str) -> str:
        """A word of a command for the running container, translated for this machine."""
        assert self.attempt is not None
        return translate_word(self.attempt.spec, namespace=self._state.namespace, ip=self._state.ip, word=word)

    # The end

    async def stop(self, deadline: Deadline, message: str, *, interrupt: bool = False) -> None:
        """Ends the running attempt: the preStop hook, SIGTERM, and SIGKILL at the deadline.

        `interrupt` records that the node was stopped, so that the next node restarts the container.
        """
        attempt = self.attempt
        if attempt is None:
            return
        if attempt.running:
            self._event("Normal", "Killing", message)
            if interrupt:
                attempt.interrupt()
            watching = asyncio.create_task(self._watch_readiness(attempt))
            try:
                deadline = await self._pre_stop(deadline)
                attempt.terminate()
                if not await deadline.met_by(attempt.wait()):
                    await attempt.kill_for_sure()
            finally:
                await cancel(watching)
        assert attempt.exit is not None
        self._show_end(attempt, attempt.exit)

    async def _watch_readiness(self, attempt: Attempt) -> None:
        """A container that ends may still serve requests: it counts as ready while its probe succeeds."""
        probe = self._container.get("readinessProbe")
        if probe and self.view.started:
            await self._probes(attempt).readiness(probe, self.view.ready)

    async def _pre_stop(self, deadline: Deadline) -> Deadline:
        """Runs the preStop hook; adds a little time if the hook took the whole grace period."""
        hook = (self._container.get("lifecycle") or {}).get("preStop")
        if not hook:
            return deadline
        try:
            if not await deadline.met_by(self._perform(hook, HOOK_TIMEOUT)):
                raise ActionFailed("it did not end within the grace period")
        except ActionFailed as failure:
            log.info("the preStop hook of container %s of pod %s failed: %s", self.name, self._state, failure)
            self._event("Warning", "FailedPreStopHook", "PreStopHook failed")
        return deadline if deadline.remaining > AFTER_PRE_STOP else Deadline(AFTER_PRE_STOP)

    # The status

    def _show(self, attempt: Attempt, state: dict[str, Any]) -> None:
        """Shows the state of `attempt`; the end of an earlier attempt becomes the last state."""
        identity = container_id(self._state.uid, self.name, attempt.number)
        if identity != self.view.container_id and "terminated" in self.view.state:
            self.view.last_state = self.view.state
        self.view.state = state
        self.view.container_id = identity
        self.view.image_id = attempt.spec.get("imageID", "")
        self.view.restart_count = attempt.number

    def _show_running(self, attempt: Attempt) -> None:
        self._show(attempt, running(times.text_of_nanoseconds(attempt.started_at)))
        self.view.started, self.view.ready = self.reported(self._state.pod.get("status") or {})
        if not self._container.get("startupProbe"):
            self.view.started = True
        if not self._container.get("readinessProbe") and self.view.started:
            self.view.ready = self.kind != INIT
        if self.view.started:
            self.up.set()
        self._state.changed()

    def _show_started(self) -> None:
        self.view.started = True
        self.up.set()
        self._state.changed()

    def _show_ready(self, ready: bool) -> None:
        self.view.ready = ready and self.kind != INIT
        self._state.changed()

    def _show_end(self, attempt: Attempt, ended: Exit) -> None:
        self._show(attempt, self._terminated(attempt, ended))
        self.view.started = False
        self.view.ready = self.kind == INIT and ended.code == 0
        self.up.clear()
        self._state.changed()

    def show_node_stop(self) -> None:
        """The node was stopped and will restart the container: shows it as waiting, not as ended."""
        if self.attempt and self.attempt.exit and self.attempt.exit.interrupted and self.restarts(self.attempt.exit):
            self.view.last_state = self.view.state
            self.view.state = waiting(
                "NodeShutdown", "the node was stopped; it restarts the container when it is back"
            )
            self._state.changed()

    async def show_waiting(self, reason: str, message: str) -> None:
        """Writes to the status that the container waits, and why."""
        if "terminated" in self.view.state:
            self.view.last_state = self.view.state
        self.view.state = waiting(reason, message)
        await self._state.publish()

    def _terminated(self, attempt: Attempt, ended: Exit) -> dict[str, Any]:
        from_logs = self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        message = termination_message(attempt, ended, from_logs=from_logs)
        return {
            "terminated": {
                "exitCode": ended.code,
                "reason": reason_of(ended),
                "startedAt": times.text_of_nanoseconds(ended.started_at),
                "finishedAt": times.text_of_nanoseconds(ended.finished_at),
                "containerID": container_id(self._state.uid, self.name, attempt.number),
                **({"message": message} if message else {}),
            }
        }

    @property
    def _directory(self) -> Any:
        return layout.container(self._context.settings.root, self._state.uid, self.name)

    def _event(self, kind: str, reason: str, message: str) -> None:
        part = "containers" if self.kind not in ("init", "sidecar") else "initContainers"
        pod = {**self._state.pod, "fieldPath": f"spec.{part}{{{self.name}}}"}
        self._context.events.event(pod, kind, reason, message)


def reason_of(ended: Exit) -> str:
    if ended.error:
        return "StartError"
    if ended.oom:
        return "OOMKilled"
    return "Completed" if ended.code == 0 else "Error"


def container_id(uid: str, name: str, number: int) -> str:
    return "kf-spawner://" + hashlib.sha256(f"{uid}/{name}/{number}".encode()).hexdigest()


def duration(seconds: float) -> str:
    """Seconds in the format of Kubernetes: `10s`, `1m20s`."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes)}m{rest:g}s" if minutes else f"{rest:g}s"
