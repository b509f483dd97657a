"""An endpoint's status: its Deployment and pods -> one state and a message.

Pure. Translates Kubernetes' reasons into a user's words.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kf_spawner.k8s import conditions, pod_reasons, quota, times
from kf_spawner.k8s.names import resource_words

from .address import PREFIX, model_url

PENDING = "Pending"
"""Nothing runs yet: pods wait for a node, a volume or an image."""
PROGRESSING = "Progressing"
"""Pods run, but not all wanted pods of the latest version are ready."""
READY = "Ready"
FAILED = "Failed"
"""Nothing answers; the message has the cause. Waiting seldom helps; if it does, the state changes."""

# A waiting container's reasons that do not go away by themselves.
_FAILURES = {
    **dict.fromkeys(pod_reasons.IMAGE, "the image {image} cannot be pulled"),
    pod_reasons.WRONG_IMAGE_NAME: "the image name {image} is invalid",
    pod_reasons.IMAGE_NOT_PRESENT: "the image {image} is not on the node",
    pod_reasons.CONFIG: "the container cannot be configured",
    **dict.fromkeys(pod_reasons.START, "the container cannot be started"),
    pod_reasons.CRASH_LOOP: "the model server keeps stopping",
}

# Warning events that explain why a pod does not become ready if its status does not.
_TELLING_EVENTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedCreate", "FailedCreatePodSandBox", "Failed"})


def status(
    deployment: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]] = (),
    *,
    serving_url: str = PREFIX,
) -> dict[str, Any]:
    """`{"name", "state", "message", "replicas", "ready", "url"}` of an endpoint.

    `pods` are the endpoint's own, `events` those of its objects (any order; others are left out). `url` is the
    model's address below `serving_url`; default: the path at the door, `/serving/NAMESPACE/NAME/v1/models/NAME`.
    `message` may be empty.
    """
    name = deployment["metadata"]["name"]
    namespace = deployment["metadata"]["namespace"]
    wanted = deployment.get("spec", {}).get("replicas", 1)
    ready = (deployment.get("status") or {}).get("readyReplicas", 0)
    state, message = _state(deployment, _alive(pods), list(events), wanted=wanted, ready=ready)
    return {
        "name": name,
        "state": state,
        "message": message,
        "replicas": wanted,
        "ready": ready,
        "url": model_url(serving_url, namespace, name),
    }


def _state(
    deployment: Mapping[str, Any],
    pods: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    *,
    wanted: int,
    ready: int,
) -> tuple[str, str]:
    if wanted == 0:
        return PENDING, "scaled to zero: nothing answers until it has a replica"
    if ready >= wanted and _rolled_out(deployment, wanted):
        return READY, ""
    cause = _deployment_failure(deployment) or next(filter(None, map(_pod_failure, pods)), "")
    if cause and ready == 0:
        return FAILED, cause
    serving = f"{ready} of {wanted} ready"
    if cause:
        return PROGRESSING, f"{serving}; a new pod does not come up: {cause}"
    waiting = next(filter(None, map(_waiting, pods)), "")
    event = _event_cause(pods, events)
    if any(_runs(pod) for pod in pods):
        return PROGRESSING, _join(serving, waiting or event or "the model is being loaded")
    if ready:
        return PROGRESSING, _join(serving, waiting or event)
    return PENDING, event or waiting or "waiting for pods"


def _rolled_out(deployment: Mapping[str, Any], wanted: int) -> bool:
    seen = deployment.get("status") or {}
    return bool(
        seen.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
        and seen.get("updatedReplicas", 0) >= wanted
        and seen.get("replicas", 0) == seen.get("updatedReplicas", 0)
    )


def _deployment_failure(deployment: Mapping[str, Any]) -> str:
    """Why the Deployment itself makes no pods: a quota, a policy."""
    if not conditions.is_true(deployment.get("status"), "ReplicaFailure"):
        return ""
    message = conditions.find(deployment["status"], "ReplicaFailure").get("message", "")
    return f"no pod can be made: {quota.in_words(message)}"


def _pod_failure(pod: Mapping[str, Any]) -> str:
    for container in _container_statuses(pod):
        state = container.get("state") or {}
        if (state.get("terminated") or {}).get("exitCode", 0) != 0:
            return f"the model server stopped ({_end(state)}) and is started again"
        reason, message = pod_reasons.waiting(container)
        text = _FAILURES.get(reason)
        if text is None:
            continue
        text = text.format(image=container.get("image", ""))
        if reason == pod_reasons.CRASH_LOOP:
            return f"{text} ({_end(container.get('lastState') or {})})"
        return _colon(text, message)
    seen = pod.get("status") or {}
    if seen.get("phase") != "Failed":
        return ""
    message = seen.get("message", "")
    if seen.get("reason") == pod_reasons.EVICTED:
        short = resource_words(pod_reasons.low_resource(message))
        return _colon("a pod was evicted", f"its node ran out of {short}" if short else message)
    return _colon("a pod failed", message or seen.get("reason", ""))


def _end(state: Mapping[str, Any]) -> str:
    """How a container ended, as its state or last state says."""
    ended = state.get("terminated") or {}
    if ended.get("reason") == pod_reasons.OUT_OF_MEMORY:
        return "out of memory: give it a higher memory limit"
    how = f"exit code {ended['exitCode']}" if "exitCode" in ended else "see its logs"
    return _colon(how, _last_line(ended.get("message", "")))


def _waiting(pod: Mapping[str, Any]) -> str:
    """What a pod that is not ready waits for, from its status."""
    scheduled = conditions.find(pod.get("status"), "PodScheduled")
    if scheduled.get("status") == "False":
        return _colon("no node has room", scheduled.get("message", ""))
    for container in _container_statuses(pod):
        state = container.get("state") or {}
        before = container.get("lastState") or {}
        if "running" in state and "terminated" in before and not container.get("ready"):
            return f"the model is being loaded again after the model server stopped ({_end(before)})"
        if "waiting" in state:
            return state["waiting"].get("message") or "the pod is being prepared"
    return ""


def _event_cause(pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]]) -> str:
    """The newest warning about one of the pods that explains the wait."""
    names = {pod["metadata"]["name"] for pod in pods}
    telling = [
        event
        for event in events
        if event.get("type") == "Warning"
        and event.get("reason") in _TELLING_EVENTS
        and event.get("involvedObject", {}).get("name") in names
    ]
    if not telling:
        return ""
    newest = max(telling, key=times.of_event)
    return str(newest.get("message", ""))


def _alive(pods: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Pods that are not being deleted, newest first: the newest failure matters most."""
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return sorted(staying, key=lambda pod: pod["metadata"].get("creationTimestamp") or "", reverse=True)


def _container_statuses(pod: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (pod.get("status") or {}).get("containerStatuses") or ()


def _runs(pod: Mapping[str, Any]) -> bool:
    return any("running" in (container.get("state") or {}) for container in _container_statuses(pod))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _colon(text: str, detail: str) -> str:
    return f"{text}: {detail}" if detail else text


def _join(first: str, second: str) -> str:
    return f"{first}; {second}" if second else first
