"""Facts about the cluster and the user's namespace, from the API server's lists. Pure: dicts in.

Owns how nodes, pods, claims and storage classes are read. Everything here is plain Kubernetes, except the one
annotation with which a node may say that it cannot run an image.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from kf_spawner.k8s import conditions, quantities
from kf_spawner.k8s.metadata import DEFAULT_CLASS
from kf_spawner.k8s.names import GPU

from .catalogue import Image

UNAVAILABLE = "images.kf-spawner.io/unavailable"
"""Annotation of a Node: JSON object, image name -> why this node cannot run it."""


@dataclass(frozen=True)
class NodeFacts:
    """A node that takes pods: what it can give (cores, bytes, GPUs), which GPUs are free, what it cannot run."""

    name: str
    cpu: Fraction
    memory: Fraction
    gpus: int = 0
    gpus_free: int = 0
    unavailable: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ClusterFacts:
    """The cluster as one user sees it. `claims` maps the user's claims to their size (a quantity)."""

    nodes: tuple[NodeFacts, ...] = ()
    claims: dict[str, str] = field(default_factory=dict)
    storage_classes: tuple[str, ...] = ()
    default_class: str | None = None
    grows: bool = False
    """Nodes are added on demand: what no present node has may still come."""

    @property
    def gpus(self) -> int:
        """GPUs of the node that has most: a pod's GPUs are all on one node."""
        return max((node.gpus for node in self.nodes), default=0)

    @property
    def gpus_free(self) -> int:
        """GPUs that one pod could get now."""
        return max((node.gpus_free for node in self.nodes), default=0)

    @property
    def cpu(self) -> Fraction | None:
        """Cores of the largest node; None while there is none to ask or more may come."""
        return None if self.grows else max((node.cpu for node in self.nodes), default=None)

    @property
    def memory(self) -> Fraction | None:
        """Bytes of the largest node; None while there is none to ask or more may come."""
        return None if self.grows else max((node.memory for node in self.nodes), default=None)

    def why_unavailable(self, image: Image) -> str | None:
        """Why this image can run on no node; None where it can (or could, on a node that is yet to come)."""
        if self.grows or not self.nodes:
            return None
        reasons = [node.unavailable.get(image.name) for node in self.nodes]
        if all(reasons):
            return reasons[0]
        if image.gpu and not self.gpus:
            return "no node of this cluster has an NVIDIA GPU"
        return None


def from_lists(
    *,
    nodes: list[dict[str, Any]],
    pods: Sequence[dict[str, Any]] = (),
    claims: Sequence[dict[str, Any]] = (),
    storage_classes: Sequence[dict[str, Any]] = (),
    grows: bool = False,
) -> ClusterFacts:
    """The facts, from the API server's lists. `pods` (of all namespaces) matter only where nodes have GPUs."""
    used: dict[str, int] = {}
    for pod in pods:
        node = pod["spec"].get("nodeName")
        if node and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            used[node] = used.get(node, 0) + _gpus_of(pod)
    defaults = [c["metadata"]["name"] for c in storage_classes if _is_default(c)]
    return ClusterFacts(
        nodes=tuple(_node(node, used.get(node["metadata"]["name"], 0)) for node in nodes if _takes_pods(node)),
        claims={claim["metadata"]["name"]: _claim_size(claim) for claim in claims},
        storage_classes=tuple(c["metadata"]["name"] for c in storage_classes),
        default_class=defaults[0] if defaults else None,
        grows=grows,
    )


def has_gpus(nodes: list[dict[str, Any]]) -> bool:
    """Whether it is worth asking which pods use GPUs."""
    return any(_count(node.get("status", {}).get("allocatable", {}).get(GPU)) for node in nodes)


def _node(node: dict[str, Any], gpus_used: int) -> NodeFacts:
    allocatable = node.get("status", {}).get("allocatable", {})
    gpus = _count(allocatable.get(GPU))
    return NodeFacts(
        name=node["metadata"]["name"],
        cpu=quantities.parse(allocatable.get("cpu", "0")),
        memory=quantities.parse(allocatable.get("memory", "0")),
        gpus=gpus,
        gpus_free=max(0, gpus - gpus_used),
        unavailable=_unavailable(node),
    )


def _takes_pods(node: dict[str, Any]) -> bool:
    return conditions.is_true(node.get("status"), "Ready") and not node["spec"].get("unschedulable")


def _unavailable(node: dict[str, Any]) -> dict[str, str]:
    # Another program may have written the annotation: what cannot be read announces nothing.
    try:
        announced = json.loads((node["metadata"].get("annotations") or {}).get(UNAVAILABLE) or "{}")
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in announced.items()} if isinstance(announced, dict) else {}


def _gpus_of(pod: dict[str, Any]) -> int:
    return sum(_count(c.get("resources", {}).get("limits", {}).get(GPU)) for c in pod["spec"].get("containers", []))


def _count(text: str | int | None) -> int:
    return int(quantities.parse(str(text))) if text else 0


def _claim_size(claim: dict[str, Any]) -> str:
    capacity = claim.get("status", {}).get("capacity", {}).get("storage")
    return str(capacity or claim["spec"].get("resources", {}).get("requests", {}).get("storage", "0"))


def _is_default(storage_class: dict[str, Any]) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
