"""The cluster's DNS, from its pods. Pure."""

from typing import Any

from kf_spawner.k8s import conditions

from .findings import Finding, error

SELECTOR = "k8s-app=kube-dns"
"""What CoreDNS and its predecessor carry in nearly every cluster."""

PLACE = "kube-system"
_MORE = f"kubectl get pods --namespace {PLACE} --selector {SELECTOR} --output wide"


def unresolved(node: str, problem: str, servers: list[dict[str, Any]] | None) -> Finding:
    """A pod on `node` could not resolve a service's name. `servers`: the DNS pods; None: we may not look."""
    if servers is None:
        why = "."
        remedy = "Look at the cluster's DNS (CoreDNS), and whether a NetworkPolicy keeps pods from it."
    elif not servers:
        why = f": the cluster has no DNS (no pod in {PLACE} has the label {SELECTOR})."
        remedy = "Install CoreDNS, or repair the DNS that the cluster uses instead."
    elif not any(conditions.is_true(pod.get("status"), "Ready") for pod in servers):
        why = f": the cluster's DNS is down, no pod of {len(servers)} is ready."
        remedy = "Look at these pods' events and logs."
    else:
        why = ", though the cluster's DNS runs."
        remedy = f"Check whether kube-proxy runs on node {node}, and whether a NetworkPolicy keeps pods from {PLACE}."
    cause = f"A pod on node {node} cannot resolve names{why}"
    said = f" The answer was: {problem}" if problem else ""
    return error("dns", cause + said, remedy=remedy, command=_MORE)
