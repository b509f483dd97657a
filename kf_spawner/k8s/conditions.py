"""Conditions: the list in an object's status that says, by type, what is true of it.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/condition-v1/
"""

from collections.abc import Mapping
from typing import Any


def find(status: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """The condition of this type in a `status`; empty where there is none."""
    conditions = (status or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})


def is_true(status: Mapping[str, Any] | None, kind: str) -> bool:
    """Whether there is a condition of this type and it is true."""
    return find(status, kind).get("status") == "True"
