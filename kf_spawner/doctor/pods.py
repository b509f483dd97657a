"""Why a pod is not ready: from its status and its events to a cause, a remedy and a command. Pure.

For administrators; `spawner.diagnosis` has the words for users.
"""

import re
from datetime import datetime
from typing import Any

from kf_spawner.k8s import conditions, pod_reasons, times
from kf_spawner.k8s.names import resource_words

from . import sandboxes
from .events import newest
from .refusals import Trouble

GRACE = 120.0
"""Seconds that a pod may take to become ready, if nothing says what is wrong."""
_ENDING = 60.0  # seconds beyond its grace period


def trouble(pod: dict[str, Any], events: list[dict[str, Any]], *, now: datetime) -> Trouble | None:
    """What keeps this pod from being ready; None while nothing is wrong. `events`: those about it, oldest first."""
    meta, status = pod["metadata"], pod.get("status", {})
    if meta.get("deletionTimestamp"):
        return _of_ending(pod, now)
    if status.get("phase") == "Succeeded" or conditions.is_true(pod.get("status"), "Ready"):
        return None
    for container in pod_reasons.containers(pod):
        found = _of_container(pod, container)
        if found:
            return found
    if status.get("phase") == "Failed":
        return _of_failed(pod)
    if not pod["spec"].get("nodeName"):
        return _of_scheduling(pod) or _of_nobody(pod, now)
    return sandboxes.stuck(pod, events) or _of_waiting(pod, events, now)


def label(pod: dict[str, Any]) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def describe(pod: dict[str, Any]) -> str:
    """The command that shows more of a pod."""
    return f"kubectl describe pod {pod['metadata']['name']} --namespace {pod['metadata']['namespace']}"


def _of_container(pod: dict[str, Any], container: dict[str, Any]) -> Trouble | None:
    state = container.get("state") or {}
    reason, message = pod_reasons.waiting(container)
    if reason in pod_reasons.IMAGE:
        return _of_image(pod, container.get("image", ""), reason, message)
    if reason == pod_reasons.CONFIG or reason in pod_reasons.START:
        return _of_config(pod, container, message or reason)
    before = (container.get("lastState") or {}).get("terminated")
    ended = state.get("terminated") or (before if reason == pod_reasons.CRASH_LOOP else None)
    if not ended or (not reason and not ended.get("exitCode")):
        return None
    meta = pod["metadata"]
    logs = f"kubectl logs {meta['name']} --namespace {meta['namespace']} --container {container['name']}"
    if container.get("restartCount"):
        logs += " --previous"
    if ended.get("reason") == pod_reasons.OUT_OF_MEMORY:
        cause = f"Container {container['name']} of pod {label(pod)} used more memory than its limit, and was ended."
        return Trouble("pod", cause, "Raise the memory limit in the chart's values.", logs)
    again = f" each time; it was restarted {container['restartCount']} times" if container.get("restartCount") else ""
    cause = f"Container {container['name']} of pod {label(pod)} ended with exit code {ended.get('exitCode')}{again}."
    return Trouble("pod", cause, "The end of its log says why.", logs, ended.get("message", ""))


def _of_image(pod: dict[str, Any], image: str, reason: str, message: str) -> Trouble:
    words = message.lower()
    if reason == pod_reasons.WRONG_IMAGE_NAME:
        why, remedy = "is not a valid name of an image", "Correct it in the values."
    elif reason == pod_reasons.IMAGE_NOT_PRESENT:
        why, remedy = (
            "is not on the node, and may not be pulled",
            "Load it onto the node, or set pullPolicy IfNotPresent.",
        )
    elif "unauthorized" in words or "denied" in words or "authorization failed" in words or "403 forbidden" in words:
        why = "cannot be pulled: the registry wants a login, or has no such image"
        remedy = "Check its name; for a private registry name a pull secret in the values (imagePullSecrets)."
    elif "not found" in words or "manifest unknown" in words:
        why = "cannot be pulled: the registry has no such image"
        remedy = "Check its name and tag; build and push the images if they are your own ('make images')."
    elif "no such host" in words or "timeout" in words or "refused" in words or "i/o" in words or "deadline" in words:
        why = "cannot be pulled: the node does not reach the registry"
        remedy = "Let the node reach it (DNS, proxy, firewall), or use a registry that it reaches."
    elif "no space left" in words:
        why, remedy = "cannot be pulled: the node's disk is full", "Free space on the node's image disk."
    else:
        why, remedy = "cannot be pulled", "Name another image, or let the node have this one: the message says why."
    return Trouble("images", f"The image {image} of pod {label(pod)} {why}.", remedy, describe(pod), message)


def _of_config(pod: dict[str, Any], container: dict[str, Any], message: str) -> Trouble:
    missing = sandboxes.missing_object(message)
    who = f"Container {container['name']} of pod {label(pod)} is not started"
    if missing:
        kind, name = missing
        remedy = "Install or upgrade the chart again, which makes it; if you named it in the values, make it."
        command = f"kubectl get {kind.lower()}s --namespace {pod['metadata']['namespace']}"
        return Trouble(
            "pod", f"{who}: the {kind} {name} that its environment reads does not exist.", remedy, command, message
        )
    return Trouble("pod", f"{who}.", "The message says what is missing or wrong.", describe(pod), message)


def _of_scheduling(pod: dict[str, Any]) -> Trouble | None:
    scheduled = conditions.find(pod.get("status"), "PodScheduled")
    message = scheduled.get("message", "")
    if scheduled.get("reason") != "Unschedulable":
        return None
    short = dict.fromkeys(re.findall(r"Insufficient ([\w./-]*\w)", message))
    taints = dict.fromkeys(re.findall(r"untolerated taint\(?s?\)? \{([^:}]+)", message))
    claims = "kubectl get persistentvolumeclaims --namespace " + pod["metadata"]["namespace"]
    missing = re.search(r'persistentvolumeclaim "([^"]+)" not found', message)
    who = f"Pod {label(pod)} finds no node"
    if missing:
        return Trouble("claim", f"{who}: its claim {missing[1]} does not exist.", "Make the claim.", claims, message)
    if "PersistentVolumeClaim" in message or "persistent volume" in message or "volume node affinity" in message:
        remedy = "Look at the claim and its storage class."
        return Trouble("claim", f"{who}: its claim has no volume there.", remedy, claims, message)
    if short:
        cause = f"{who}: none has enough free {', '.join(short)}."
        return Trouble(
            "pod", cause, "Add a node, or lower the requests in the values.", "kubectl describe nodes", message
        )
    if taints:
        cause = f"{who}: all suitable nodes have taints ({', '.join(taints)})."
        remedy = "Remove a taint that is no longer true, or add a toleration to the values."
        return Trouble("pod", cause, remedy, "kubectl get nodes", message)
    remedy = "Add a node, or change the node selector or affinity in the values."
    return Trouble("pod", f"{who}.", remedy, "kubectl get nodes --show-labels", message)


def _of_nobody(pod: dict[str, Any], now: datetime) -> Trouble | None:
    if (
        times.age(pod, now).total_seconds() < GRACE
        or conditions.find(pod.get("status"), "PodScheduled").get("status") == "False"
    ):
        return None
    cause = f"Pod {label(pod)} has no node, and no scheduler says why."
    remedy = "Check whether the scheduler that the pod names (schedulerName) runs."
    return Trouble("pod", cause, remedy, "kubectl get pods --namespace kube-system")


def _of_failed(pod: dict[str, Any]) -> Trouble:
    status = pod["status"]
    words = " ".join(filter(None, (status.get("reason"), status.get("message"))))
    remedy = "If a new pod runs in its place, delete it; else the message says what its node lacks."
    short = resource_words(pod_reasons.low_resource(words)) if status.get("reason") == pod_reasons.EVICTED else ""
    cause = f"was evicted: its node ran out of {short}" if short else "was ended by its node"
    return Trouble("pod", f"Pod {label(pod)} {cause}.", remedy, describe(pod), words)


def _of_waiting(pod: dict[str, Any], events: list[dict[str, Any]], now: datetime) -> Trouble | None:
    if times.age(pod, now).total_seconds() < GRACE:
        return None
    probe = newest(events, {"Unhealthy"}).get("message", "")
    node = pod["spec"]["nodeName"]
    if pod["status"].get("phase") == "Running":
        cause = f"Pod {label(pod)} runs, but is not ready{': its probe fails' if probe else ''}."
        remedy = "Look at its log: it may wait for another part of the platform."
        command = (
            f"kubectl logs {pod['metadata']['name']} --namespace {pod['metadata']['namespace']} --all-containers"
        )
        return Trouble("pod", cause, remedy, command, probe)
    pulling = newest(events, {"Pulling", "Pulled"})
    if pulling.get("reason") == "Pulling":
        cause = f"Pod {label(pod)} still waits for its image."
        remedy = (
            "A large image needs time on a slow network. The chart's pre-puller pulls images before users need them."
        )
        return Trouble("images", cause, remedy, describe(pod), pulling.get("message", ""))
    cause = f"Pod {label(pod)} is not started on node {node}, and the node says nothing about it."
    return Trouble("pod", cause, f"Check whether the kubelet of node {node} runs.", f"kubectl describe node {node}")


def _of_ending(pod: dict[str, Any], now: datetime) -> Trouble | None:
    late = (now - times.parse(pod["metadata"]["deletionTimestamp"])).total_seconds()
    if late < _ENDING:
        return None
    held = pod["metadata"].get("finalizers")
    cause = f"Pod {label(pod)} should have ended {late:.0f} seconds ago" + (
        f" and is held by {', '.join(held)}." if held else "."
    )
    node = pod["spec"].get("nodeName", "")
    remedy = f"Look at node {node}: its kubelet may be down. If the node is gone for good, delete the node."
    return Trouble("pod", cause, remedy, f"kubectl describe node {node}")
