"""The objects that a user's namespace is made of. Pure: names in, dicts out."""

from typing import Any

from kf_spawner.k8s.metadata import MANAGED_BY, POD_SECURITY

USER_ANNOTATION = "kf-spawner.io/user"
"""Annotation of a namespace: whose it is."""

ACCOUNT = "notebook"
"""Service account of notebook servers; what it may do is in ClusterRole NOTEBOOK_ROLE."""

NOTEBOOK_ROLE = "kf-spawner-notebook"
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


def belongs_to(namespace: dict[str, Any], user: str) -> bool:
    """Whether an existing namespace is this user's."""
    return (namespace["metadata"].get("annotations") or {}).get(USER_ANNOTATION) == user
