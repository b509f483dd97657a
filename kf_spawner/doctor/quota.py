"""ResourceQuotas that are used up. Pure."""

from collections.abc import Collection
from typing import Any

from kf_spawner.k8s import quantities

from .findings import Finding, Severity

_IN_THE_WAY = (
    "pods",
    "cpu",
    "memory",
    "requests.",
    "limits.",
    "persistentvolumeclaims",
    "count/",
    "services",
    "secrets",
)


def full(quotas: list[dict[str, Any]], *, platform: str, users: Collection[str] = ()) -> list[Finding]:
    """An error in the platform's namespace, a warning in a user's; other namespaces are not ours."""
    found = []
    for quota in quotas:
        namespace = quota["metadata"]["namespace"]
        if namespace != platform and namespace not in users:
            continue
        used_up = _used_up(quota)
        if used_up:
            found.append(_finding(quota, used_up, is_platform=namespace == platform))
    return found


def _used_up(quota: dict[str, Any]) -> list[str]:
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    return [
        f"{name} {used[name]} of {hard[name]}"
        for name in sorted(hard)
        if name.startswith(_IN_THE_WAY) and name in used and _reaches(used[name], hard[name])
    ]


def _reaches(used: str, hard: str) -> bool:
    try:
        return quantities.parse(used) >= quantities.parse(hard)
    except ValueError:  # more than there is of anything
        return False


def _finding(quota: dict[str, Any], used_up: list[str], *, is_platform: bool) -> Finding:
    name, namespace = quota["metadata"]["name"], quota["metadata"]["namespace"]
    severity = Severity.ERROR if is_platform else Severity.WARNING
    what = "pods of the platform" if is_platform else "servers, jobs and endpoints"
    return Finding(
        "quota",
        severity,
        f"The quota {name} of namespace {namespace} is full ({', '.join(used_up)} used): new {what} are refused.",
        "Raise the quota, or delete what is not needed there.",
        f"kubectl describe resourcequota {name} --namespace {namespace}",
    )
