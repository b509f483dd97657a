"""Why a notebook server does not start: its pod and events -> a cause and a remedy. Pure.

Owns the causes and their words. The spawner decides how long each may last before it is final.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kf_spawner.k8s import conditions, pod_reasons, quota, times
from kf_spawner.k8s.names import resource_words


class Cause(StrEnum):
    """What went wrong; its value is the `reason` label of the hub's metrics."""

    IMAGE = "image"
    ROOM = "no_room"
    VOLUME = "volume"
    CRASH = "crash"
    MEMORY = "out_of_memory"
    CONTAINER = "container"
    ENDED = "pod_ended"
    GONE = "pod_gone"
    SILENT = "no_answer"
    QUOTA = "quota"
    POLICY = "policy"
    NAMESPACE = "namespace"
    REFUSED = "refused"


@dataclass(frozen=True)
class Diagnosis:
    """One cause. `detail` is what Kubernetes said; `crashed` says that the container's log tells more."""

    cause: Cause
    message: str
    remedy: str
    detail: str = ""
    crashed: bool = False


_CLAIM_EVENTS = {"ProvisioningFailed", "FailedBinding"}
_NEEDS = {
    "disk-pressure": "has run out of disk space",
    "memory-pressure": "has run out of memory",
    "pid-pressure": "has run out of processes",
    "not-ready": "is not ready",
    "unreachable": "does not answer",
}
"""A node's taint in words; the key is without its prefix."""
_DISRUPTIONS = {
    "EvictionByEvictionAPI": "its node was drained, for example for maintenance",
    "PreemptionByScheduler": "it was preempted by a pod of higher priority",
    "DeletionByTaintManager": "its node was lost, or no longer accepts such pods",
    "DeletionByPodGC": "its node was lost",
    "TerminationByKubelet": "its node was shut down",
}
_AGAIN = "Start it again: the files on your home volume are still there."


def diagnose(pod: dict[str, Any], events: list[dict[str, Any]]) -> Diagnosis | None:
    """Why this pod does not run now, or None while nothing is wrong.

    `events` are those of the pod and of its claims, oldest first. The cause may go away by itself (a node may join, a
    registry may answer): the caller decides how long to wait.
    """
    status = pod.get("status", {})
    containers = list(pod_reasons.containers(pod))
    for container in containers:
        found = _of_container(container)
        if found:
            return found
    if status.get("phase") in ("Failed", "Succeeded"):
        return _of_ended(status, containers)
    if status.get("phase") != "Pending":
        return None
    if conditions.is_true(status, "PodScheduled"):
        return _of_mounts(events)
    unscheduled = _of_scheduling(status)
    if unscheduled is not None and unscheduled.cause != Cause.VOLUME:
        return unscheduled
    return _of_claims(pod, events) or unscheduled


def of_taints(found: Diagnosis, nodes: list[dict[str, Any]]) -> Diagnosis:
    """The same cause, with the nodes' taints in words: the scheduler does not name them."""
    short: dict[str, list[str]] = {}
    for node in nodes:
        for taint in node["spec"].get("taints") or []:
            need = _NEEDS.get(taint["key"].removeprefix("node.kubernetes.io/"))
            if need:
                short.setdefault(need, []).append(node["metadata"]["name"])
    if "untolerated taint" not in found.detail or not short:
        return found
    said = "; ".join(f"{', '.join(names)} {need}" for need, names in short.items())
    return Diagnosis(
        found.cause,
        f"No node takes this server: {said}.",
        "Try again in some minutes; if it lasts, ask an administrator.",
        found.detail,
    )


def of_end(pod: dict[str, Any]) -> Diagnosis:
    """Why a server ended although its user did not stop it; `pod` is its last known state."""
    status = pod.get("status", {})
    disrupted = conditions.find(status, "DisruptionTarget")
    if status.get("reason") == pod_reasons.EVICTED:
        return _of_ended(status, [])
    if disrupted.get("status") == "True":
        if pod_reasons.low_resource(disrupted.get("message", "")):  # said before the pod is Evicted
            return _of_eviction(disrupted["message"])
        why = _DISRUPTIONS.get(disrupted.get("reason", ""), "the cluster took its pod away")
        return Diagnosis(Cause.ENDED, f"The server was ended: {why}.", _AGAIN, disrupted.get("message", ""))
    containers = status.get("containerStatuses") or []
    ended = [c["state"]["terminated"] for c in containers if c.get("state", {}).get("terminated")]
    if ended and ended[-1].get("reason") == pod_reasons.OUT_OF_MEMORY:
        message = "The server ended: it used more memory than its limit."
        return Diagnosis(Cause.MEMORY, message, "Ask for more memory.")
    if not ended or "deletionTimestamp" in pod["metadata"]:
        return Diagnosis(Cause.GONE, "The server's pod was deleted.", _AGAIN)
    message = f"The server ended with exit code {ended[-1].get('exitCode')}."
    return Diagnosis(Cause.ENDED, message, _AGAIN, ended[-1].get("message", ""))


def of_refusal(what: str, message: str) -> Diagnosis:
    """The API server refused to make `what` (403 or 422), with this message."""
    excess = quota.read(message)
    if excess:
        return Diagnosis(Cause.QUOTA, f"Your quota does not allow {what}: {excess.said}.", excess.remedy, message)
    if "violates PodSecurity" in message:
        return Diagnosis(
            Cause.POLICY,
            "The rules of your namespace do not allow such a pod.",
            "Ask an administrator: the hub's configuration needs something that the Pod Security level forbids.",
            message,
        )
    return Diagnosis(
        Cause.REFUSED, f"Kubernetes refused to make {what}.", "Ask an administrator: the message says why.", message
    )


def _of_container(container: dict[str, Any]) -> Diagnosis | None:
    reason, detail = pod_reasons.waiting(container)
    if reason in pod_reasons.IMAGE:
        return Diagnosis(
            Cause.IMAGE,
            f"The image {container.get('image')} cannot be pulled.",
            "Choose another image, or ask an administrator whether it exists and the node may pull it.",
            detail or reason,
        )
    if reason == pod_reasons.CONFIG or reason in pod_reasons.START:
        return Diagnosis(
            Cause.CONTAINER,
            "The server's container cannot be started.",
            "Ask an administrator: the message says what is missing or wrong.",
            detail or reason,
        )
    state = container.get("state", {}).get("terminated")
    ended = state or container.get("lastState", {}).get("terminated")
    if not ended:
        return None
    if ended.get("reason") == pod_reasons.OUT_OF_MEMORY and not container.get("state", {}).get("running"):
        return Diagnosis(
            Cause.MEMORY, "The server used more memory than its limit.", "Ask for more memory.", crashed=True
        )
    if reason == pod_reasons.CRASH_LOOP or (state and ended.get("exitCode") and container.get("restartCount", 0) > 1):
        return Diagnosis(
            Cause.CRASH,
            f"The server ended with exit code {ended.get('exitCode')} each time it was started.",
            "The end of its log says why. If a package in your home folder is to blame, start without a home volume.",
            crashed=True,
        )
    return None


def _of_ended(status: dict[str, Any], containers: list[dict[str, Any]]) -> Diagnosis:
    detail = " ".join(filter(None, (status.get("reason"), status.get("message"))))
    if status.get("reason") == pod_reasons.EVICTED:
        return _of_eviction(detail)
    ended = [c["state"]["terminated"] for c in containers if c.get("state", {}).get("terminated")]
    if ended and not detail:
        message = f"The server ended with exit code {ended[-1].get('exitCode')} before it could be used."
        return Diagnosis(Cause.ENDED, message, "The end of its log says why.", crashed=True)
    return Diagnosis(
        Cause.ENDED, "The server's pod was ended.", "Try again; if it repeats, ask an administrator.", detail
    )


def _of_eviction(detail: str) -> Diagnosis:
    what = resource_words(pod_reasons.low_resource(detail)) or "something that it needs"
    message = f"The server was ended: its node ran out of {what}."
    return Diagnosis(Cause.ENDED, message, f"{_AGAIN} If it repeats, ask an administrator to free some.", detail)


def _of_scheduling(status: dict[str, Any]) -> Diagnosis | None:
    scheduled = conditions.find(status, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    detail = scheduled.get("message", "")
    missing = re.search(r'persistentvolumeclaim "([^"]+)" (not found|bound to non-existent)', detail)
    if missing:
        return Diagnosis(
            Cause.VOLUME,
            f"The volume {missing[1]} does not exist.",
            "Choose another volume or none, or ask an administrator.",
            detail,
        )
    if "PersistentVolumeClaim" in detail or "persistent volume" in detail or "volume node affinity" in detail:
        return Diagnosis(
            Cause.VOLUME,
            "A volume of the server is not ready yet.",
            "Ask an administrator whether volumes can be made here, or start without a home volume.",
            detail,
        )
    short = [resource_words(name) for name in dict.fromkeys(re.findall(r"Insufficient ([\w./-]+[\w])", detail))]
    if short:
        return Diagnosis(
            Cause.ROOM,
            f"No node has enough free {' and '.join(short)}.",
            f"Ask for less {' and '.join(short)}, or stop servers and jobs that you do not need.",
            detail,
        )
    if "no nodes available" in detail or "0/0 nodes" in detail:
        return Diagnosis(Cause.ROOM, "The cluster has no node.", "Ask an administrator to add one.", detail)
    return Diagnosis(
        Cause.ROOM,
        "No node takes this server.",
        "Ask an administrator: the message says what each node lacks.",
        detail,
    )


def _of_mounts(events: list[dict[str, Any]]) -> Diagnosis | None:
    missing = pod_reasons.missing_volume(events)
    if not missing:
        return None
    return Diagnosis(
        Cause.VOLUME,
        "A volume cannot be mounted.",
        "Start without that volume, or ask an administrator: the message says which one and why.",
        missing.get("message", ""),
    )


def _of_claims(pod: dict[str, Any], events: list[dict[str, Any]]) -> Diagnosis | None:
    # An earlier pod may have waited for the claim: only events since this pod was created count.
    made = pod["metadata"].get("creationTimestamp", "")
    of_claims = [
        event
        for event in events
        if event.get("involvedObject", {}).get("kind") == "PersistentVolumeClaim"
        and (times.of_event(event) or made) >= made
    ]
    if not of_claims or of_claims[-1].get("reason") not in _CLAIM_EVENTS:
        return None
    return Diagnosis(
        Cause.VOLUME,
        f"The volume {of_claims[-1]['involvedObject'].get('name')} cannot be created.",
        "Start without a home volume, or ask an administrator: the message says why.",
        of_claims[-1].get("message", ""),
    )
