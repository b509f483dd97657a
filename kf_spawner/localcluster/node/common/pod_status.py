"""Computes the status of a pod from its containers, as a kubelet does. Pure: no clock, no I/O.

Rules: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from dataclasses import dataclass, field
from typing import Any

from .restarts import INIT, MAIN, SIDECAR

TERMINAL = ("Succeeded", "Failed")
_OWNED = ("message", "reason", "podIP")  # fields that we also remove


@dataclass
class ContainerView:
    """One container, in terms of the API: `state` and `last_state` are `ContainerState` objects."""

    name: str
    image: str
    kind: str = MAIN
    state: dict[str, Any] = field(default_factory=lambda: waiting("ContainerCreating"))
    last_state: dict[str, Any] = field(default_factory=dict)
    restart_count: int = 0
    image_id: str = ""
    container_id: str = ""
    started: bool = False
    ready: bool = False

    @property
    def ended_with(self) -> int | None:
        """The exit code of the last attempt, if no attempt runs now."""
        ended = self.state.get("terminated") or ("waiting" in self.state and self.last_state.get("terminated"))
        return ended["exitCode"] if ended else None


@dataclass
class PodView:
    """What a worker knows about its pod."""

    containers: list[ContainerView]
    host_ip: str
    started_at: str
    ip: str | None = None
    sandboxed: bool = False
    over: bool = False  # no container will run again
    failure: tuple[str, str] | None = None  # reason and message, if the whole pod failed


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def running(started_at: str) -> dict[str, Any]:
    return {"running": {"startedAt": started_at}}


def phase_of(view: PodView, restart_policy: str) -> str:
    """The pod's phase (`getPhase` in kubelet's terms)."""
    if view.failure:
        return "Failed"
    pending_init, failed_init = _init_progress(view.containers)
    if failed_init and (restart_policy == "Never" or view.over):
        return "Failed"
    main = [container for container in view.containers if container.kind == MAIN]
    live = [container for container in main if "running" in container.state]
    ended = [container.ended_with for container in main if container.ended_with is not None]
    if view.over:
        return "Succeeded" if len(ended) == len(main) and not any(ended) else "Failed"
    if pending_init or len(live) + len(ended) < len(main):
        return "Pending"
    return "Running"


def _init_progress(containers: list[ContainerView]) -> tuple[bool, bool]:
    """Whether an init container must still finish (or a sidecar start), and whether an init container failed."""
    pending = failed = False
    for container in containers:
        if container.kind == INIT:
            failed = failed or bool(container.ended_with)
            pending = pending or container.ended_with != 0
        elif container.kind == SIDECAR:
            pending = pending or not (container.started or container.ended_with is not None)
    return pending, failed


def pod_status(pod: dict[str, Any], view: PodView, *, written: dict[str, Any], now: str) -> dict[str, Any]:
    """The fields of `status` that a node owns. `written` is its last write, which may be newer than `pod`."""
    phase = phase_of(view, pod["spec"].get("restartPolicy", "Always"))
    main = [_container_status(container) for container in view.containers if container.kind == MAIN]
    init = [_container_status(container) for container in view.containers if container.kind != MAIN]
    status: dict[str, Any] = {
        "phase": phase,
        "hostIP": view.host_ip,
        "hostIPs": [{"ip": view.host_ip}],
        "startTime": view.started_at,
        "containerStatuses": main,
    }
    if init:
        status["initContainerStatuses"] = init
    if view.ip:
        status["podIP"] = view.ip
        status["podIPs"] = [{"ip": view.ip}]
    if view.failure:
        status["reason"], status["message"] = view.failure
    if generation := pod["metadata"].get("generation"):
        status["observedGeneration"] = generation
    status["conditions"] = _conditions(pod, view, phase, written, now)
    return status


def _container_status(container: ContainerView) -> dict[str, Any]:
    return {
        "name": container.name,
        "image": container.image,
        "imageID": container.image_id,
        "state": container.state,
        "lastState": container.last_state,
        "restartCount": container.restart_count,
        "started": container.started,
        "ready": container.ready,
        **({"containerID": container.container_id} if container.container_id else {}),
    }


def _conditions(
    pod: dict[str, Any], view: PodView, phase: str, written: dict[str, Any], now: str
) -> list[dict[str, Any]]:
    known = [*((pod.get("status") or {}).get("conditions") or []), *(written.get("conditions") or [])]
    former = {condition["type"]: condition for condition in known}
    conditions = []
    for kind, holds, reason, message in _judgements(pod, view, phase, former):
        status = "True" if holds else "False"
        before = former.get(kind) or {}
        condition = {
            "type": kind,
            "status": status,
            "lastProbeTime": None,
            "lastTransitionTime": before["lastTransitionTime"] if before.get("status") == status else now,
            # None removes an old value: the patch merges conditions by type.
            "reason": None if holds and not reason else reason,
            "message": None if holds and not message else message,
        }
        conditions.append(condition)
    return conditions


def _judgements(
    pod: dict[str, Any], view: PodView, phase: str, former: dict[str, Any]
) -> list[tuple[str, bool, str, str]]:
    init = [container for container in view.containers if container.kind == INIT]
    serving = [container for container in view.containers if container.kind != INIT]
    unready = [container.name for container in serving if not container.ready]
    unfinished = [container.name for container in init if container.ended_with != 0]
    unfinished += [
        container.name
        for container in view.containers
        if container.kind == SIDECAR and not container.started and not view.over
    ]
    over = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    if phase == "Succeeded":
        initialized = (True, "PodCompleted", "")
    elif unfinished:
        initialized = (
            False,
            "ContainersNotInitialized",
            f"containers with incomplete status: [{' '.join(unfinished)}]",
        )
    else:
        initialized = (True, "", "")
    if over:
        containers_ready = (False, over, "")
    elif unready:
        containers_ready = (False, "ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    else:
        containers_ready = (True, "", "")
    ready = containers_ready
    closed = _closed_gates(pod, former)
    if ready[0] and closed:
        ready = (False, "ReadinessGatesNotReady", ", ".join(closed))
    return [
        ("PodScheduled", True, "", ""),
        ("PodReadyToStartContainers", *_sandbox(view, over=bool(over))),
        ("Initialized", *initialized),
        ("Ready", *ready),
        ("ContainersReady", *containers_ready),
    ]


def _sandbox(view: PodView, *, over: bool) -> tuple[bool, str, str]:
    """On this node, the sandbox of a pod is its address and its volumes."""
    if view.sandboxed and not over:
        return True, "", ""
    return False, "PodSandboxNotReady", "pod sandbox is not ready" if over else "no pod sandbox exists"


def _closed_gates(pod: dict[str, Any], former: dict[str, Any]) -> list[str]:
    """A message for each readiness gate that is not open."""
    said = []
    for gate in pod["spec"].get("readinessGates") or []:
        kind = gate["conditionType"]
        if kind not in former:
            said.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif former[kind].get("status") != "True":
            said.append(f'the status of pod readiness gate "{kind}" is not "True", but {former[kind].get("status")}')
    return said


def patch_of(desired: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """The strategic-merge patch from `written` to `desired`: empty if none of our fields differ."""
    patch = {key: value for key, value in desired.items() if _plain(written.get(key)) != _plain(value)}
    patch.update({key: None for key in _OWNED if key in written and key not in desired})
    return patch


def _plain(value: Any) -> Any:
    """`value` without None, which the API server leaves out."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
