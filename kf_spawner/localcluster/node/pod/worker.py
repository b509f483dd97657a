"""The life of one pod: volumes, init containers in order, sidecars, containers, the end, the clean-up.

Level-based: `update` gives it the current pod of the API, and it keeps its own state on disk, so a new node can
continue. `container/runner.py` starts and stops the containers.
"""

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from kf_spawner.k8s import times

from ..common import layout
from ..common.deadlines import Deadline, cancel
from ..common.json_files import write_json
from ..common.pod_state import PodState
from ..common.pod_status import TERMINAL, PodView, pod_status
from ..common.restarts import SIDECAR, Backoff, kind_of
from ..container.context import Context
from ..container.devices import NoDevice
from ..container.runner import ContainerRunner
from ..network.addresses import Untranslatable
from ..volume.atomic_dir import remove_tree
from ..volume.manager import VolumeError
from .refusals import refuse, refuse_ephemeral, unenforced
from .status_writer import PodWriter

MOUNT_FIRST = 0.5
MOUNT_MOST = 15.0
REMOVED_GRACE = 1.0  # minimum for a pod that was deleted by force


class Cause(Enum):
    """Why a pod ends before its containers do."""

    DELETED = "deleted"
    REMOVED = "removed"
    DEADLINE = "deadline"
    OVER = "over"
    NODE = "node"


class PodWorker:
    """`await run()` returns when the pod is removed, or has ended because the node stops."""

    def __init__(self, context: Context, pod: dict[str, Any]):
        self._context = context
        self._node_stops = asyncio.Event()
        self._removed = asyncio.Event()
        self._deleted = asyncio.Event()
        self._end_requested = asyncio.Event()
        self._refresh_due = asyncio.Event()
        self._cause: Cause | None = None
        self._deadline: Deadline | None = None
        self._overdue: asyncio.TimerHandle | None = None
        self._said: set[str] = set()
        self.state = PodState(pod=pod, changed=lambda: self._writer.changed(), publish=lambda: self._writer.publish())
        self._writer = PodWriter(
            context.client, self.state, desired=self._status, gone=self.removed, hurry=self._node_stops
        )
        self.over = (pod.get("status") or {}).get("phase") in TERMINAL
        self.known = layout.pod(context.settings.root, self.state.uid).exists()
        self._init, self._main = self._make_runners()
        self.state.ip = (pod.get("status") or {}).get("podIP") or ""
        self._view = PodView(
            containers=[runner.view for runner in self.runners],
            host_ip=context.settings.host_ip,
            ip=self.state.ip or None,
            started_at=(pod.get("status") or {}).get("startTime") or times.text(datetime.now(UTC)),
        )
        self._take_in(pod, first=True)

    def _make_runners(self) -> tuple[list[ContainerRunner], list[ContainerRunner]]:
        spec = self.state.pod["spec"]
        init = spec.get("initContainers") or []
        lists = [
            [
                ContainerRunner(
                    self._context, self.state, part, kind_of(part, is_init=part in init), later=bool(init)
                )
                for part in parts
            ]
            for parts in (init, spec["containers"])
        ]
        return lists[0], lists[1]

    @property
    def runners(self) -> list[ContainerRunner]:
        return [*self._init, *self._main]

    def runner(self, container: str) -> ContainerRunner | None:
        return next((runner for runner in self.runners if runner.name == container), None)

    def successor(self) -> "PodWorker":
        """A new worker for the same pod. It gets the current pod and reads the rest from disk."""
        self.close()
        worker = PodWorker(self._context, self.state.pod)
        if self._removed.is_set():
            worker.removed()
        if self._node_stops.is_set():
            worker.stop()
        return worker

    # Input

    def update(self, pod: dict[str, Any]) -> None:
        """Gives the worker the current pod of the API."""
        before = self.state.pod
        self.state.pod = pod
        if any(before["metadata"].get(key) != pod["metadata"].get(key) for key in ("labels", "annotations")):
            self._refresh_due.set()
        if shape_of(before) != shape_of(pod):
            self._say_once(
                "this node cannot change the containers of a running pod: delete the pod and create it again"
            )
        if self._overdue is not None:
            self._watch_active_deadline()
        self._writer.changed()  # the generation of the spec, or a condition that Ready depends on
        self._take_in(pod)

    def removed(self) -> None:
        """The pod no longer exists in the API."""
        self._removed.set()
        self._deleted.set()
        self._writer.forget()
        grace = self.state.pod["metadata"].get("deletionGracePeriodSeconds")
        self._end(Cause.REMOVED, self.state.grace_period if grace is None else max(REMOVED_GRACE, grace))

    def stop(self) -> None:
        """The node stops."""
        self._node_stops.set()
        self._end(Cause.NODE, min(self._context.settings.stop_grace, self.state.grace_period))

    def _take_in(self, pod: dict[str, Any], *, first: bool = False) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            self._deleted.set()
            self._end(Cause.DELETED, deletion_grace(pod, now=time.time(), first=first))
        elif (pod.get("status") or {}).get("phase") in TERMINAL and not self.over:
            self._end(Cause.OVER, self.state.grace_period)
        for reason in refuse_ephemeral(pod):
            self._say_once(reason)

    def _say_once(self, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            self._event("Warning", "Failed", reason)

    def _end(self, cause: Cause, grace: float) -> None:
        if self._deadline is None:
            self._deadline = Deadline(grace)
        else:
            self._deadline.shorten(grace)
        if self._cause is None:
            self._cause = cause
            self._end_requested.set()

    # Life

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            writing = group.create_task(self._writer.run(), name=f"status of {self.state}")
            await self._until_gone()
            writing.cancel()

    async def _until_gone(self) -> None:
        if not self.over:
            await self._until_over()
        else:
            await self._stop_containers(Deadline(self.state.grace_period))
        await self._writer.insist()
        waits = [asyncio.create_task(event.wait()) for event in (self._deleted, self._node_stops)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel(*waits)
        if self._deleted.is_set() and self.over:
            await self._clean_up()
            await self._writer.confirm_deletion()

    def close(self) -> None:
        """Stops watching the processes of the pod; they continue."""
        for runner in self.runners:
            if runner.attempt is not None:
                runner.attempt.detach()

    async def _until_over(self) -> None:
        problem = None
        if self._cause is None:
            self._writer.changed()
            problem = self._admission() or await self._live_until_ended()
        if problem:
            self._event("Normal" if self._cause is Cause.DEADLINE else "Warning", *problem)
        await self._stop_containers(self._deadline or Deadline(self.state.grace_period))
        if self._cause is Cause.NODE:
            self._show_node_stop()
            return
        self._view.failure = problem  # only now: a pod with a running container has not failed yet
        self.over = self._view.over = True
        self._view.sandboxed = False
        self._context.devices.release(self.state.uid)

    def _admission(self) -> tuple[str, str] | None:
        """Why the node rejects the pod, as a kubelet does. Else makes its folder and allocates its GPUs."""
        fields = unenforced(self.state.pod)
        if fields and not self.known:
            self._event("Normal", "NotEnforced", f"no effect on a plain process: {', '.join(fields)}")
        folder = layout.pod(self._context.settings.root, self.state.uid)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(layout.pod_record(self._context.settings.root, self.state.uid), self.state.pod)
        try:
            self.state.devices = self._context.devices.allocate(self.state.pod)
        except NoDevice as error:
            return "UnexpectedAdmissionError", f"Allocate failed due to {error}, which is unexpected"
        return None

    def reject(self, reason: str, message: str) -> None:
        """The pod does not fit on this node. Call it before `run`."""
        self._event("Warning", reason, message)
        self._view.failure = (reason, f"Pod was rejected: {message}")
        self.over = self._view.over = True
        self._writer.changed()

    async def _live_until_ended(self) -> tuple[str, str] | None:
        """Runs the pod to its end; returns why it failed, if that is not the failure of a container."""
        living = asyncio.create_task(self._live(), name=f"life of {self.state}")
        ending = asyncio.create_task(self._end_requested.wait())
        refreshing = asyncio.create_task(self._refresh(), name=f"volumes of {self.state}")
        tasks = (living, ending, refreshing)
        self._watch_active_deadline()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if self._cause is Cause.DEADLINE:
                return "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
            for task in done & {living, refreshing}:
                task.result()
            return None
        finally:
            if self._overdue is not None:
                self._overdue.cancel()
            await cancel(*tasks)

    def _watch_active_deadline(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
        limit = self.state.pod["spec"].get("activeDeadlineSeconds")
        if limit is not None:
            seconds = max(0.0, times.parse(self._view.started_at).timestamp() + limit - time.time())
            self._overdue = asyncio.get_running_loop().call_later(
                seconds, self._end, Cause.DEADLINE, self.state.grace_period
            )

    async def _live(self) -> None:
        if reasons := refuse(self.state.pod):
            await self._wait_unsupported("; ".join(reasons))
        await self._set_up()
        await self._run_containers()

    async def _wait_unsupported(self, message: str) -> None:
        """The pod stays Pending until it is deleted: a ReplicaSet or a job replaces a failed pod at once, forever."""
        self._event("Warning", "NotSupported", message)
        for runner in self.runners:
            await runner.show_waiting("CreateContainerError", message)
        await asyncio.Event().wait()

    async def _set_up(self) -> None:
        retries = Backoff(initial=MOUNT_FIRST, first=MOUNT_FIRST, most=MOUNT_MOST)
        while True:
            try:
                self.state.ip = self._view.ip = await self._context.addresses.pod_ip(self.state.uid)
                self.state.volumes = await self._context.volumes.prepare(self.state.pod)
                break
            except VolumeError as error:
                self._event("Warning", error.reason, error.message)
            except Untranslatable as error:
                self._event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            await asyncio.sleep(retries.after())
        self._view.sandboxed = True

    async def _run_containers(self) -> None:
        """Runs the init containers one by one, then all containers. Sidecars run beside them."""
        begun = any(runner.attempt for runner in self._main)  # it ended under an earlier node
        async with asyncio.TaskGroup() as group:
            sidecars = []
            for runner in self._init:
                if runner.kind == SIDECAR:
                    sidecars.append(group.create_task(runner.run()))
                    if not begun:
                        await runner.up.wait()
                elif not begun and await runner.run():
                    break
            else:
                await asyncio.wait([group.create_task(runner.run()) for runner in self._main])
            for task in sidecars:
                task.cancel()

    async def _refresh(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._context.settings.refresh_interval):
                    await self._refresh_due.wait()
            self._refresh_due.clear()
            if not self._view.sandboxed:
                continue
            try:
                await self._context.volumes.refresh(self.state.pod)
            except VolumeError as error:
                self._event("Warning", error.reason, error.message)

    # The end

    async def _stop_containers(self, deadline: Deadline) -> None:
        """Stops the containers together, then the sidecars in reverse order."""
        interrupt = self._cause is Cause.NODE
        first = [runner for runner in self.runners if runner.kind != SIDECAR]
        async with asyncio.TaskGroup() as group:
            for runner in first:
                message = f"Stopping container {runner.name}"
                group.create_task(runner.stop(deadline, message, interrupt=interrupt))
        for runner in reversed([runner for runner in self._init if runner.kind == SIDECAR]):
            await runner.stop(deadline, f"Stopping container {runner.name}", interrupt=interrupt)

    def _show_node_stop(self) -> None:
        """Shows the containers that the next node restarts as waiting, not as ended."""
        ended = [(runner, runner.attempt.exit) for runner in self._main if runner.attempt and runner.attempt.exit]
        again = [runner for runner, end in ended if runner.restarts(end)]
        for runner in self.runners:
            runner.show_node_stop()
        if len(ended) == len(self._main) and not again:
            self.over = self._view.over = True
            self._view.failure = ("Terminated", "Pod was terminated in response to imminent node shutdown.")

    async def _clean_up(self) -> None:
        await self._context.volumes.cleanup(self.state.pod)
        self._context.addresses.release(self.state.uid)
        self._context.devices.release(self.state.uid)
        await asyncio.to_thread(remove_tree, layout.pod(self._context.settings.root, self.state.uid))

    def _status(self, written: dict[str, Any]) -> dict[str, Any]:
        pod = self.state.pod
        desired = pod_status(pod, self._view, written=written, now=times.text(datetime.now(UTC)))
        if (phase := (pod.get("status") or {}).get("phase")) in TERMINAL:
            desired["phase"] = phase  # the pod has ended: this is final
        return desired

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._context.events.event(self.state.pod, kind, reason, message)


def shape_of(pod: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The fields of the containers that can change in a running pod."""
    parts = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return [(part["name"], part["image"], part.get("resources")) for part in parts]


def deletion_grace(pod: dict[str, Any], *, now: float, first: bool) -> float:
    """Seconds that a deleted pod has left. With `first`, part of the period may have passed under an earlier node."""
    meta = pod["metadata"]
    grace = float(meta.get("deletionGracePeriodSeconds") or 0)
    if first:
        grace = min(grace, max(0.0, times.parse(meta["deletionTimestamp"]).timestamp() - now))
    return grace
