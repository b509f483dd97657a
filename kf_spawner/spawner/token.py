"""Gives a server its token for the hub's API in a Secret, never in the pod's manifest. Pure.

First the pod is created with a scheduling gate, then the Secret, owned by the pod; then the gate is removed. So no
Secret exists without its pod, whenever the hub ends in between, and no pod runs before its Secret exists.
"""

from typing import Any

from kf_spawner.k8s.metadata import owner_reference

from .manifests import MANAGED

GATE = {"name": "kf-spawner.io/token"}
"""The scheduling gate that holds the pod until its Secret is there."""

RELEASE = {"spec": {"schedulingGates": [{**GATE, "$patch": "delete"}]}}
"""Strategic merge patch that removes our gate and keeps all others."""

VARIABLES = ("JUPYTERHUB_API_TOKEN", "JPY_API_TOKEN")
"""What JupyterHub calls the token in a server's environment."""

_KEY = "token"


def variables(secret_name: str) -> dict[str, dict[str, Any]]:
    """The token's entries of a server's environment."""
    reference = {"secretKeyRef": {"name": secret_name, "key": _KEY}}
    return {name: {"name": name, "valueFrom": reference} for name in VARIABLES}


def held(pod: dict[str, Any]) -> dict[str, Any]:
    """The same pod with our scheduling gate in addition to its own."""
    gates = [*(pod["spec"].get("schedulingGates") or []), GATE]
    return {**pod, "spec": {**pod["spec"], "schedulingGates": gates}}


def is_held(pod: dict[str, Any]) -> bool:
    """Whether the pod still waits for its Secret."""
    return GATE in (pod["spec"].get("schedulingGates") or [])


def secret(name: str, *, pod: dict[str, Any], value: str) -> dict[str, Any]:
    """The Secret, which is deleted with `pod` (as the API server stored it)."""
    meta = pod["metadata"]
    owner = owner_reference(api_version="v1", kind="Pod", name=meta["name"], uid=meta["uid"])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": meta["namespace"], "labels": MANAGED, "ownerReferences": [owner]},
        "type": "Opaque",
        "immutable": True,
        "stringData": {_KEY: value},
    }
