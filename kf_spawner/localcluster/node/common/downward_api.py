"""The downward API: the values of `fieldRef` and `resourceFieldRef` in environments and volumes. Pure.

Rules: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from kf_spawner.k8s import quantities

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class FieldError(Exception):
    """The field does not exist, or no container of the pod has this name."""


def field_value(pod: dict[str, Any], path: str, *, pod_ip: str = "", host_ip: str = "") -> str:
    """The value of `fieldRef.fieldPath` for `pod`. All labels or annotations become lines of `key="value"`."""
    meta = pod["metadata"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((meta.get(subscript[1]) or {}).get(subscript[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = meta.get(path.removeprefix("metadata.")) or {}
        return "\n".join(f"{key}={json.dumps(entries[key], ensure_ascii=False)}" for key in sorted(entries))
    spec = pod["spec"]
    values: dict[str, str] = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "metadata.uid": meta.get("uid", ""),
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
    }
    if path not in values:
        raise FieldError(f"unsupported fieldPath: {path}")
    return values[path]


def resource_value(
    pod: dict[str, Any], reference: dict[str, Any], *, container: str | None, allocatable: Mapping[str, str] | None
) -> str:
    """The value of `resourceFieldRef`, in units of its divisor, rounded up.

    `container` is used if the reference names none. Without a limit, the value is the `allocatable` of the node.
    """
    name = reference.get("containerName") or container
    found = _container(pod, name)
    if found is None:
        raise FieldError(f"container {name} not found")
    kind, _, resource = reference["resource"].partition(".")
    amount = ((found.get("resources") or {}).get(kind) or {}).get(resource)
    if amount is None and kind == "limits":
        amount = (allocatable or {}).get(resource)
    divisor = quantities.parse(reference.get("divisor") or "1") or 1
    return str(math.ceil(quantities.parse(amount or "0") / divisor))


def needs_allocatable(pod: dict[str, Any], reference: dict[str, Any], *, container: str | None) -> bool:
    """Whether `resource_value` needs the `allocatable` of the node."""
    kind, _, resource = reference["resource"].partition(".")
    name = reference.get("containerName") or container
    found = _container(pod, name)
    limits = ((found or {}).get("resources") or {}).get("limits") or {}
    return kind == "limits" and resource not in limits


def _container(pod: dict[str, Any], name: str | None) -> dict[str, Any] | None:
    everyone = [*(pod["spec"].get("containers") or []), *(pod["spec"].get("initContainers") or [])]
    return next((each for each in everyone if each["name"] == name), None)
