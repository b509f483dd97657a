"""Why a pod that has a node has no container yet: its network, its volumes. Pure.

The words matched here are those of the kubelet, containerd, CRI-O and the usual network plugins.
"""

import re
from typing import Any

from kf_spawner.k8s import pod_reasons

from .events import unanswered
from .refusals import Trouble

_SANDBOX = {"FailedCreatePodSandBox", "FailedCreatePodContainer", "NetworkNotReady"}
_PLUGINS = ("calico", "cilium", "flannel", "weave", "antrea", "multus", "aws-cni", "azure", "kindnet", "bridge")
_CNI = re.compile(r"network for (?:sandbox|pod)|network plugin|networkPlugin|\bcni\b|plugin type=", re.IGNORECASE)


def stuck(pod: dict[str, Any], events: list[dict[str, Any]]) -> Trouble | None:
    """From the events of a pod that is assigned to a node, oldest first."""
    sandbox = unanswered(events, _SANDBOX, until=pod_reasons.AFTER_VOLUMES)
    if sandbox:
        return _of_sandbox(pod, sandbox.get("message", ""))
    missing = pod_reasons.missing_volume(events)
    return _of_mount(pod, missing.get("message", "")) if missing else None


def _of_sandbox(pod: dict[str, Any], message: str) -> Trouble:
    node, who = pod["spec"].get("nodeName", ""), f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    plugins = "kubectl get pods --namespace kube-system --output wide"
    plugin = next((name for name in _PLUGINS if name in message.lower()), "")
    if "no IP addresses available" in message or "no available IP" in message or "out of IP" in message:
        cause = f"Pod {who} gets no address: the network plugin has none left on node {node}."
        remedy = "Delete pods there, or give the node a larger range of pod addresses."
        return Trouble("network", cause, remedy, plugins, message)
    if "not initialized" in message or "NetworkPluginNotReady" in message:
        cause = f"Pod {who} gets no network: node {node} has no network plugin."
        remedy = (
            "Install the cluster's network plugin (Calico, Cilium, Flannel, …), or look at its pods in kube-system."
        )
        return Trouble("network", cause, remedy, plugins, message)
    if "failed to get sandbox image" in message or "failed pulling image" in message:
        cause = f"Pod {who} is not started: node {node} cannot pull the pause image."
        remedy = "Let the node reach that registry, or set sandbox_image in its containerd configuration."
        return Trouble("images", cause, remedy, f"kubectl describe node {node}", message)
    if _CNI.search(message) or plugin:
        named = f"the network plugin {plugin}" if plugin else "the network plugin"
        cause = f"Pod {who} gets no network: {named} is broken on node {node}."
        remedy = "Look at the plugin's own pod on that node: it must run and have written its files to the node."
        return Trouble("network", cause, remedy, plugins, message)
    cause = f"Pod {who} is not started: the container runtime of node {node} fails."
    remedy = f"Look at the log of containerd (or CRI-O) on node {node}."
    return Trouble("pod", cause, remedy, f"kubectl describe node {node}", message)


def _of_mount(pod: dict[str, Any], message: str) -> Trouble:
    namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    missing = missing_object(message)
    if missing:
        kind, absent = missing
        cause = f"Pod {namespace}/{name} is not started: the {kind} {absent} that it mounts does not exist."
        remedy = "If the chart makes it, install or upgrade the chart again; else make it, or check who should."
        return Trouble("pod", cause, remedy, f"kubectl get {kind.lower()}s --namespace {namespace}", message)
    cause = f"Pod {namespace}/{name} is not started: a volume cannot be mounted."
    remedy = "The message names the volume: look at its driver's pods, and whether another node still holds it."
    return Trouble("claim", cause, remedy, f"kubectl describe pod {name} --namespace {namespace}", message)


def missing_object(message: str) -> tuple[str, str] | None:
    """Kind and name of the ConfigMap or Secret that a message says is not found."""
    found = re.search(r'\b(configmap|secret)s? "([^"]+)" not found', message)
    return ({"configmap": "ConfigMap", "secret": "Secret"}[found[1]], found[2]) if found else None
