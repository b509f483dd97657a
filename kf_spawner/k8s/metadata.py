"""Parts of an object's `metadata`: owner references, and common labels and annotations.

https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
"""

from typing import Any

NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
MANAGED_BY = "app.kubernetes.io/managed-by"
POD_SECURITY = "pod-security.kubernetes.io/enforce"
"""Label of a namespace: the Pod Security level that its pods must meet."""
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
"""Annotation of a storage class: `true` where claims without a class get this one."""


def owner_reference(*, api_version: str, kind: str, name: str, uid: str, controller: bool = False) -> dict[str, Any]:
    """An entry of `ownerReferences`: Kubernetes deletes the object after its owner.

    With `controller` the owner also manages it, and a foreground deletion of the owner waits for it.
    """
    reference = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
    return {**reference, "controller": True, "blockOwnerDeletion": True} if controller else reference


def controllers(obj: dict[str, Any]) -> list[dict[str, Any]]:
    """The owner references with `controller`: at most one, which the API server ensures."""
    return [owner for owner in obj["metadata"].get("ownerReferences") or () if owner.get("controller")]


def selector(labels: dict[str, str]) -> str:
    """A label selector for objects that have all these labels: `a=b,c=d`."""
    return ",".join(f"{name}={value}" for name, value in labels.items())
