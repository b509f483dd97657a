"""What a pod's status says about its replica: how it ended, how often it restarted, why it does not start."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from kf_spawner.k8s import times

from . import ownership
from .defaults import ALWAYS, EXIT_CODE, ON_FAILURE
from .names import CONTAINER

RETRYABLE_FROM = 128
DISRUPTED = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting"})
IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
MISSING_REASON = "CreateContainerConfigError"
START_REASONS = frozenset({"CreateContainerError", "RunContainerError"})


class Trouble(NamedTuple):
    """Why a replica does not come up: a condition's reason, and words that end with what to do."""

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
    """Seconds until a terminating pod's node should be through with it; negative if it is late."""
    return (times.parse(pod["metadata"]["deletionTimestamp"]) - now).total_seconds()


def late_nodes(pods: Iterable[dict[str, Any]], now: datetime) -> set[str]:
    """Nodes that should be through with a pod and have not said so: are they still there?"""
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
    """In words, why its node or the cluster ended a failed pod; empty where they did not."""
    status = pod.get("status") or {}
    if status.get("reason") not in DISRUPTED:
        return ""
    return ": ".join(filter(None, (status["reason"], (status.get("message") or "").rstrip(" ."))))


def restarts_in_place(pod: dict[str, Any]) -> int:
    """How often the pod's containers were started anew within the pod."""
    status = pod.get("status") or {}
    entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return sum(entry.get("restartCount") or 0 for entry in entries)


def is_retryable(pod: dict[str, Any], restart_policy: str) -> bool:
    """Whether a failed pod is to be made anew. Without an exit code the program is not to blame: it is."""
    if restart_policy in (ON_FAILURE, ALWAYS):
        return True
    if restart_policy != EXIT_CODE:
        return False
    code = exit_code(pod)
    return code is None or code >= RETRYABLE_FROM or _is_disrupted(pod)


def trouble_of(pod: dict[str, Any]) -> Trouble | None:
    """What keeps a pending or restarting pod from running, if its status names it."""
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (entry.get("state") or {}).get("waiting") or {}
        found = _waiting_trouble(waiting.get("reason") or "", waiting.get("message") or "", entry.get("image") or "")
        if found:
            return found
    for condition in (status.get("conditions") or ()) if phase(pod) == "Pending" else ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = (condition.get("message") or "no node fits").rstrip(" .")
            return Trouble(
                "TFJobUnschedulable",
                f"cannot be scheduled: {message}. Ask for less, or free what other pods hold.",
            )
    return None


def digest(pod: dict[str, Any]) -> tuple[Any, ...]:
    """All that a decision can depend on: two states of a pod with equal digests need no new decision."""
    status = pod.get("status") or {}
    return (
        pod["metadata"]["uid"],
        pod["metadata"].get("deletionTimestamp"),
        phase(pod),
        status.get("reason"),
        exit_code(pod),
        restarts_in_place(pod),
        trouble_of(pod),
        _is_disrupted(pod),
        ownership.digest(pod),
    )


def _waiting_trouble(reason: str, message: str, image: str) -> Trouble | None:
    message = message.rstrip(" .") or "no details"
    if reason in IMAGE_REASONS:
        return Trouble(
            "TFJobImagePullFailed",
            f"cannot get its image {image!r} ({reason}): {message}. "
            "Check the image's name and that the node may pull it.",
        )
    if reason == MISSING_REASON:
        return Trouble(
            "TFJobContainerFailed",
            f"waits for what its container needs ({reason}): {message}. "
            "It starts by itself once that is there; if it never will be, correct the pod template.",
        )
    if reason in START_REASONS:
        return Trouble(
            "TFJobContainerFailed",
            f"cannot start its container ({reason}): {message}. Correct the pod template.",
        )
    if reason == "CrashLoopBackOff":
        return Trouble("TFJobCrashLoop", "keeps failing and is started again ever later; look at its log.")
    return None


def _is_disrupted(pod: dict[str, Any]) -> bool:
    status = pod.get("status") or {}
    if status.get("reason") in DISRUPTED:
        return True
    return any(
        condition.get("type") == "DisruptionTarget" and condition.get("status") == "True"
        for condition in status.get("conditions") or ()
    )
