"""Reads a pod's status: how its replica ended, how often it restarted, why it does not start."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from kf_spawner.k8s import conditions, pod_reasons, times
from kf_spawner.k8s.names import resource_words

from . import ownership
from .defaults import ALWAYS, EXIT_CODE, ON_FAILURE
from .names import CONTAINER

RETRYABLE_FROM = 128
OUT_OF_MEMORY = "TFJobOutOfMemory"


_SHUT_DOWN = "was ended: its node was shut down"
_ENDED = {
    "NodeLost": "was lost with its node",
    "NodeShutdown": _SHUT_DOWN,
    "Shutdown": _SHUT_DOWN,
    "Terminated": _SHUT_DOWN,
    "Preempting": "was preempted by a pod of higher priority",
}


class Trouble(NamedTuple):
    """Why a replica does not start: a condition's reason, and a message that ends with what to do."""

    reason: str
    message: str


def phase(pod: dict[str, Any]) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_terminating(pod: dict[str, Any]) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def node_of(pod: dict[str, Any]) -> str:
    """The node that the pod is bound to; empty if none."""
    return pod["spec"].get("nodeName") or ""


def ends_in(pod: dict[str, Any], now: datetime) -> float:
    """Seconds until a terminating pod's node should have ended it; negative if it is late."""
    return (times.parse(pod["metadata"]["deletionTimestamp"]) - now).total_seconds()


def late_nodes(pods: Iterable[dict[str, Any]], now: datetime) -> set[str]:
    """Nodes that should have ended a pod and have not reported it; they may be lost."""
    late = (pod for pod in pods if is_terminating(pod) and ends_in(pod, now) <= 0)
    return {node_of(pod) for pod in late} - {""}


def has_started(pod: dict[str, Any]) -> bool:
    """Whether the program has ever run, as far as the pod's status says."""
    return phase(pod) in ("Running", "Succeeded") or exit_code(pod) is not None or restarts_in_place(pod) > 0


def exit_code(pod: dict[str, Any]) -> int | None:
    """The exit code of the container `tensorflow`; None if it never ended by itself."""
    for status in (pod.get("status") or {}).get("containerStatuses") or ():
        if status.get("name") == CONTAINER:
            terminated = (status.get("state") or {}).get("terminated")
            return terminated.get("exitCode") if terminated else None
    return None


def disruption(pod: dict[str, Any]) -> str:
    """Kubernetes' words for why its node or the cluster ended a failed pod; empty if they did not."""
    status = pod.get("status") or {}
    if status.get("reason") not in pod_reasons.DISRUPTED:
        return ""
    return ": ".join(filter(None, (status["reason"], (status.get("message") or "").rstrip(" ."))))


def why_ended(pod: dict[str, Any]) -> str:
    """Why a pod or its container was ended, to follow its name; empty if its program ended by itself."""
    if pod_reasons.is_out_of_memory(pod):
        return "used more memory than its limit and was ended; ask for more memory"
    status = pod.get("status") or {}
    if status.get("reason") == pod_reasons.EVICTED:
        short = resource_words(pod_reasons.low_resource(status.get("message") or ""))
        return f"was evicted: its node ran out of {short}" if short else "was evicted by its node"
    return _ENDED.get(status.get("reason") or "", "")


def restarts_in_place(pod: dict[str, Any]) -> int:
    """How often the pod's containers restarted within the pod."""
    return sum(container.get("restartCount") or 0 for container in pod_reasons.containers(pod))


def is_retryable(pod: dict[str, Any], restart_policy: str) -> bool:
    """Whether a failed pod is replaced. Without an exit code it is, because the program is not the cause."""
    if restart_policy in (ON_FAILURE, ALWAYS):
        return True
    if restart_policy != EXIT_CODE:
        return False
    code = exit_code(pod)
    return code is None or code >= RETRYABLE_FROM or _is_disrupted(pod)


def trouble_of(pod: dict[str, Any]) -> Trouble | None:
    """What keeps a pending or restarting pod from running, if its status names it."""
    for container in pod_reasons.containers(pod):
        found = _waiting_trouble(container)
        if found:
            return found
    scheduled = conditions.find(pod.get("status"), "PodScheduled") if phase(pod) == "Pending" else {}
    if scheduled.get("reason") != "Unschedulable":
        return None
    message = (scheduled.get("message") or "no node fits").rstrip(" .")
    return Trouble(
        "TFJobUnschedulable", f"cannot be scheduled: {message}. Ask for less, or free what other pods hold."
    )


def trouble_of_volumes(events: Sequence[dict[str, Any]]) -> Trouble | None:
    """What keeps a pod from its volumes. Only its events, `events`, oldest first, tell: its status does not."""
    missing = pod_reasons.missing_volume(events)
    if not missing:
        return None
    message = (missing.get("message") or "no details").rstrip(" .")
    return Trouble(
        missing["reason"],
        f"waits for a volume: {message}. "
        "It starts by itself once that is available; otherwise correct the pod template.",
    )


def digest(pod: dict[str, Any]) -> tuple[Any, ...]:
    """All parts of it that a decision depends on: two states with equal digests need no new decision."""
    status = pod.get("status") or {}
    return (
        pod["metadata"]["uid"],
        pod["metadata"].get("deletionTimestamp"),
        phase(pod),
        status.get("reason"),
        exit_code(pod),
        restarts_in_place(pod),
        trouble_of(pod),
        why_ended(pod),
        _is_disrupted(pod),
        ownership.digest(pod),
    )


def _waiting_trouble(container: dict[str, Any]) -> Trouble | None:
    reason, message = pod_reasons.waiting(container)
    message = message.rstrip(" .") or "no details"
    if reason in pod_reasons.IMAGE:
        return Trouble(
            "TFJobImagePullFailed",
            f"cannot pull its image {container.get('image') or ''!r} ({reason}): {message}. "
            "Check the image's name and that the node may pull it.",
        )
    if reason == pod_reasons.CONFIG:
        return Trouble(
            "TFJobContainerFailed",
            f"waits for what its container needs ({reason}): {message}. "
            "It starts by itself once that is available; otherwise correct the pod template.",
        )
    if reason in pod_reasons.START:
        return Trouble(
            "TFJobContainerFailed",
            f"cannot start its container ({reason}): {message}. Correct the pod template.",
        )
    if reason == pod_reasons.CRASH_LOOP and pod_reasons.ended(container).get("reason") == pod_reasons.OUT_OF_MEMORY:
        return Trouble(
            OUT_OF_MEMORY,
            "keeps using more memory than its limit and restarts after ever longer pauses; ask for more memory.",
        )
    if reason == pod_reasons.CRASH_LOOP:
        return Trouble("TFJobCrashLoop", "keeps failing and restarts after ever longer pauses; look at its log.")
    return None


def _is_disrupted(pod: dict[str, Any]) -> bool:
    status = pod.get("status") or {}
    return status.get("reason") in pod_reasons.DISRUPTED or conditions.is_true(status, "DisruptionTarget")
