"""The objects that a user's namespace is made of. Pure: names in, dicts out."""

from collections.abc import Mapping
from typing import Any

from kf_spawner.k8s.metadata import MANAGED_BY, POD_SECURITY

from .settings import SpawnerSettings

USER_ANNOTATION = "kf-spawner.io/user"
"""Annotation of a namespace: whose it is."""

ACCOUNT = "notebook"
"""Service account of notebook servers; what it may do is in ClusterRole NOTEBOOK_ROLE."""

NOTEBOOK_ROLE = "kf-spawner-notebook"
LIMITS = "kf-spawner"
"""Name of the ResourceQuota and of the LimitRange."""

MANAGED = {MANAGED_BY: "kf-spawner"}


def namespace(name: str, *, user: str, labels: dict[str, str], annotations: dict[str, str]) -> dict[str, Any]:
    """A user's namespace. The Pod Security level holds for every pod in it, whoever makes it."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "labels": {**labels, **MANAGED, POD_SECURITY: "baseline"},
            "annotations": {**annotations, USER_ANNOTATION: user},
        },
    }


def as_strict(wanted: dict[str, Any], existing: dict[str, Any]) -> dict[str, Any]:
    """`wanted` with the Pod Security level of the `existing` namespace where that is stricter."""
    labels = existing["metadata"].get("labels") or {}
    if labels.get(POD_SECURITY) != "restricted":
        return wanted
    metadata = wanted["metadata"]
    return {**wanted, "metadata": {**metadata, "labels": {**metadata["labels"], POD_SECURITY: "restricted"}}}


def furniture(namespace: str, settings: SpawnerSettings) -> list[dict[str, Any]]:
    """What every user's namespace has."""
    made = [
        account(namespace),
        binding(namespace),
        quota(namespace, settings.quota),
        limits(namespace, requests=settings.default_requests, largest_claim=settings.max_home_size),
    ]
    if settings.network_policy:
        made.append(network_policy(namespace, settings.network_policy))
    return made


def account(namespace: str) -> dict[str, Any]:
    """The service account that a notebook server acts with."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": MANAGED},
    }


def binding(namespace: str) -> dict[str, Any]:
    """What the service account may do, in its own namespace only."""
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": ACCOUNT, "namespace": namespace, "labels": MANAGED},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": NOTEBOOK_ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    }


def network_policy(namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Who may reach the user's pods, and what they may reach."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "kf-spawner", "namespace": namespace, "labels": MANAGED},
        "spec": spec,
    }


def quota(namespace: str, hard: Mapping[str, object]) -> dict[str, Any]:
    """How much there may be in the namespace in all. Without any amount it limits nothing."""
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": LIMITS, "namespace": namespace, "labels": MANAGED},
        "spec": {"hard": {name: str(amount) for name, amount in hard.items()}},
    }


def limits(namespace: str, *, requests: Mapping[str, object], largest_claim: str) -> dict[str, Any]:
    """What a container requests that names nothing, and how large a claim may be; empty: no limit."""
    ranges: list[dict[str, Any]] = []
    if requests:
        ranges.append(
            {"type": "Container", "defaultRequest": {name: str(amount) for name, amount in requests.items()}}
        )
    if largest_claim:
        ranges.append({"type": "PersistentVolumeClaim", "max": {"storage": largest_claim}})
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": LIMITS, "namespace": namespace, "labels": MANAGED},
        "spec": {"limits": ranges},
    }


def belongs_to(namespace: dict[str, Any], user: str) -> bool:
    """Whether an existing namespace is this user's."""
    return (namespace["metadata"].get("annotations") or {}).get(USER_ANNOTATION) == user
