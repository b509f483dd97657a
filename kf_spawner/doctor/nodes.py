"""Nodes: whether one accepts pods, and why the others do not. Pure."""

from collections.abc import Sequence
from typing import Any

from kf_spawner.k8s import conditions

from .findings import Finding, Severity, error, quoting, warning

_PRESSURE = {
    "MemoryPressure": "memory",
    "DiskPressure": "disk space",
    "PIDPressure": "process numbers",
}
_KEEPS_OUT = ("NoSchedule", "NoExecute")
_NAMED = 5  # closed nodes that are named one by one


def nodes(items: list[dict[str, Any]], *, tolerations: Sequence[dict[str, Any]] = ()) -> list[Finding]:
    """Errors while no node takes pods with `tolerations`; one that does not is a warning where another does."""
    if not items:
        return [
            error(
                "nodes",
                "The cluster has no node.",
                remedy="Bring up a node, or let the cluster's autoscaler do it.",
                command="kubectl get nodes",
            )
        ]
    ready = [node for node in items if _is_true(node, "Ready")]
    severity = Severity.WARNING if ready else Severity.ERROR
    found = [_not_ready(node, severity) for node in items if node not in ready]
    found += [_pressed(node, kind) for node in ready for kind in _PRESSURE if _is_true(node, kind)]
    closed = [f"{_name(node)} {why}" for node in ready if (why := _why_closed(node, tolerations))]
    if ready and len(closed) == len(ready):
        found.append(
            error(
                "nodes",
                f"No node takes pods: {'; '.join(closed[:_NAMED])}.",
                remedy="Open a node with 'kubectl uncordon NODE' or remove its taint, or add a node.",
                command="kubectl describe nodes",
            )
        )
    return found


def _not_ready(node: dict[str, Any], severity: Severity) -> Finding:
    name, ready = _name(node), conditions.find(node.get("status"), "Ready")
    message = ready.get("message", "")
    if "cni" in message.lower() or "NetworkPluginNotReady" in message or "NetworkReady=false" in message:
        cause = f"Node {name} has no working network plugin, so no pod can start there."
        remedy = (
            "Install the cluster's network plugin (Calico, Cilium, Flannel, …), or look at its pods in kube-system: "
            "it has written no configuration to /etc/cni/net.d of the node."
        )
        command = "kubectl get pods --namespace kube-system --output wide"
    elif ready.get("status", "Unknown") == "Unknown":
        cause = f"Node {name} does not report: its machine, its kubelet or its network is down."
        remedy = "Start the machine or its kubelet again; if it is gone for good, delete the node."
        command = f"kubectl describe node {name}"
    else:
        cause = f"Node {name} is not ready."
        remedy = "Look at the kubelet's log on that machine: the message says what is missing."
        command = f"kubectl describe node {name}"
    return Finding("nodes", severity, quoting(cause, message), remedy, command)


def _is_true(node: dict[str, Any], kind: str) -> bool:
    return conditions.is_true(node.get("status"), kind)


def _pressed(node: dict[str, Any], kind: str) -> Finding:
    message = conditions.find(node.get("status"), kind).get("message", "")
    return warning(
        "nodes",
        quoting(f"Node {_name(node)} runs out of {_PRESSURE[kind]}.", message),
        remedy="Free some of it, or add a node: the node accepts no new pods and ends some.",
        command=f"kubectl describe node {_name(node)}",
    )


def _why_closed(node: dict[str, Any], tolerations: Sequence[dict[str, Any]]) -> str:
    if node["spec"].get("unschedulable"):
        return "is cordoned"
    taints = [taint for taint in node["spec"].get("taints") or [] if taint.get("effect") in _KEEPS_OUT]
    kept_out = [taint for taint in taints if not any(_tolerates(each, taint) for each in tolerations)]
    return f"has the taint {kept_out[0]['key']}" if kept_out else ""


def _tolerates(toleration: dict[str, Any], taint: dict[str, Any]) -> bool:
    """As the scheduler compares them: an empty key (with Exists) or effect is every one."""
    if toleration.get("effect", "") not in ("", taint["effect"]) or toleration.get("key", "") not in (
        "",
        taint["key"],
    ):
        return False
    return toleration.get("operator") == "Exists" or toleration.get("value", "") == taint.get("value", "")


def _name(node: dict[str, Any]) -> str:
    return str(node["metadata"]["name"])
