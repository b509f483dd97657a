"""A TFJob, its replicas and its events as small dicts for people and user interfaces: the types are in `wire`.

Pure. Does not decide a job's state: the operator does, in the job's conditions.
"""

from collections.abc import Container, Iterable, Mapping
from typing import Any

from kf_spawner.k8s import pod_reasons, times
from kf_spawner.k8s.metadata import selector
from kf_spawner.tfjob.names import CONTAINER, INDEX_LABEL, JOB_LABEL, TYPE_LABEL
from kf_spawner.tfjob.pods import trouble_of, trouble_of_volumes, why_ended
from kf_spawner.tfjob.status import FAILED, SUCCEEDED

from .wire import EventView, JobSummary, JobView, ReplicaState, ReplicaView

TERMINAL = (SUCCEEDED, FAILED)
NO_EVENTS: Mapping[str, list[dict[str, Any]]] = {}
_PREPARED = ("ContainerCreating", "PodInitializing")
_WORDS = {
    **dict.fromkeys(pod_reasons.IMAGE, "image cannot be pulled"),
    **dict.fromkeys(pod_reasons.VOLUME, "volume cannot be mounted"),
    pod_reasons.OUT_OF_MEMORY: "out of memory",
    pod_reasons.EVICTED: "evicted",
}
"""The words for the kubelet's most frequent reasons; other reasons stay as they are."""


def job_selector(name: str) -> str:
    """The label selector of a job's pods."""
    return selector({JOB_LABEL: name})


def replica_name(pod: dict[str, Any]) -> str | None:
    """`worker-0`; None for a pod that is not a replica."""
    labels = pod["metadata"].get("labels") or {}
    kind, index = labels.get(TYPE_LABEL), labels.get(INDEX_LABEL)
    return f"{kind.lower()}-{index}" if kind and index is not None else None


def job_view(job: dict[str, Any], pods: list[dict[str, Any]], events: Iterable[dict[str, Any]] = ()) -> JobView:
    """The job with each replica that has a pod; `pods` are the job's, `events` may be about anything."""
    told = by_object(events)
    replicas = [replica_view(pod, told) for pod in pods if replica_name(pod) is not None]
    return {**job_summary(job), "replicas": sorted(replicas, key=lambda view: (view["type"], view["index"]))}


def job_summary(job: dict[str, Any]) -> JobSummary:
    """The job without its replicas."""
    meta, status = job["metadata"], job.get("status") or {}
    current = current_condition(status)
    return {
        "name": meta["name"],
        "namespace": meta["namespace"],
        "uid": meta["uid"],
        "created": meta["creationTimestamp"],
        "started": status.get("startTime"),
        "completed": status.get("completionTime"),
        "deleting": "deletionTimestamp" in meta,
        "state": current.get("type", "Pending"),
        "reason": current.get("reason", ""),
        "message": current.get("message", ""),
        "wanted": wanted_replicas(job),
    }


def current_condition(status: dict[str, Any]) -> dict[str, Any]:
    """The last condition that is true: the state that a printer column shows."""
    conditions = [one for one in status.get("conditions") or [] if one.get("status") == "True"]
    return conditions[-1] if conditions else {}


def wanted_replicas(job: dict[str, Any]) -> dict[str, int]:
    """How many replicas of each type the spec asks for."""
    specs = (job.get("spec") or {}).get("tfReplicaSpecs") or {}
    counts = {kind.lower(): (spec or {}).get("replicas") for kind, spec in specs.items()}
    return {kind: 1 if count is None else count for kind, count in counts.items()}


def replica_view(pod: dict[str, Any], events: Mapping[str, list[dict[str, Any]]] = NO_EVENTS) -> ReplicaView:
    """One replica: its state in a word and, where something is wrong, reason, message and exit code.

    `events` as `by_object` gives them.
    """
    name = replica_name(pod) or pod["metadata"]["name"]
    kind, _, index = name.rpartition("-")
    state, reason, message = _pod_state(pod, events)
    container = _main_status(pod)
    return {
        "replica": name,
        "type": kind,
        "index": int(index) if index.isdecimal() else 0,
        "pod": pod["metadata"]["name"],
        "state": state,
        "reason": reason,
        "message": message,
        "restarts": container.get("restartCount", 0),
        "exit_code": (_terminated(container) or {}).get("exitCode"),
    }


def awaits_volumes(pod: dict[str, Any]) -> bool:
    """Whether a node prepares the pod's containers: its network and volumes, which may never come."""
    waiting = (_main_status(pod).get("state") or {}).get("waiting") or {}
    return waiting.get("reason") in _PREPARED


def _pod_state(pod: dict[str, Any], events: Mapping[str, list[dict[str, Any]]]) -> tuple[ReplicaState, str, str]:
    """(state, reason, message): from the phase, and from what the container waits for or ended with."""
    status = pod.get("status") or {}
    phase = status.get("phase", "Pending")
    container = _main_status(pod)
    waiting = (container.get("state") or {}).get("waiting") or {}
    terminated = _terminated(container) or {}
    if "deletionTimestamp" in pod["metadata"] and phase not in TERMINAL:
        return "Terminating", "", ""
    if phase in TERMINAL:
        reason = terminated.get("reason") or status.get("reason", "")
        message = terminated.get("message") or status.get("message", "")
        why = why_ended(pod) if phase == FAILED else ""
        return phase, "" if reason == "Completed" else _in_words(reason), f"The pod {why}." if why else message
    if waiting.get("reason") and waiting["reason"] not in _PREPARED:
        trouble = trouble_of(pod)
        return "Waiting", _in_words(waiting["reason"]), trouble.message if trouble else waiting.get("message", "")
    trouble = trouble_of(pod)
    if trouble:
        return "Pending", "Unschedulable", trouble.message
    trouble = trouble_of_volumes(events.get(pod["metadata"].get("uid", ""), [])) if waiting else None
    if trouble:
        return "Waiting", _in_words(trouble.reason), trouble.message
    return ("Starting" if waiting else phase), "", ""


def _in_words(reason: str) -> str:
    return _WORDS.get(reason, reason)


def _main_status(pod: dict[str, Any]) -> dict[str, Any]:
    statuses: list[dict[str, Any]] = (pod.get("status") or {}).get("containerStatuses") or []
    named = [status for status in statuses if status["name"] == CONTAINER]
    return (named or statuses or [{}])[0]


def _terminated(container: dict[str, Any]) -> dict[str, Any] | None:
    """How the container last ended."""
    return pod_reasons.ended(container) or None


def by_object(events: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The events about each object, by its uid, oldest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for event in sorted(events, key=times.of_event):
        found.setdefault((event.get("involvedObject") or {}).get("uid", ""), []).append(event)
    return found


def events_about(uids: Container[str], events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The `events` about objects with one of these uids, oldest first."""
    about = [event for event in events if (event.get("involvedObject") or {}).get("uid") in uids]
    return sorted(about, key=lambda event: event_view(event)["time"] or "")


def event_view(event: dict[str, Any]) -> EventView:
    about = event.get("involvedObject") or {}
    return {
        "level": event.get("type", "Normal"),
        "reason": event.get("reason", ""),
        "message": event.get("message", ""),
        "count": event.get("count") or (event.get("series") or {}).get("count") or 1,
        "time": times.of_event(event) or event["metadata"].get("creationTimestamp"),
        "object": f"{about.get('kind', '')}/{about.get('name', '')}",
    }
