"""Whether users who need not trust each other share one origin, as far as the cluster shows it. Pure."""

from collections.abc import Iterable
from typing import Any

from .findings import Finding, note
from .platform import component

SUBDOMAINS = "KF_SUBDOMAINS"


def shared_origin(workloads: Iterable[dict[str, Any]], *, users: int) -> list[Finding]:
    """A note where a hub of several users gives them no domains; `users` have a namespace."""
    hubs = [item for item in workloads if component(item) == "hub" and not _has_domains(item)]
    return [_finding(item, users) for item in hubs if users > 1]


def _has_domains(hub: dict[str, Any]) -> bool:
    containers = hub["spec"]["template"]["spec"].get("containers") or []
    variables = [entry for container in containers for entry in container.get("env") or []]
    return any(entry["name"] == SUBDOMAINS and entry.get("value") == "true" for entry in variables)


def _finding(hub: dict[str, Any], users: int) -> Finding:
    namespace = hub["metadata"]["namespace"]
    return note(
        "domains",
        f"The servers of {users} users have one origin, the hub's: a page of one user's server can act with the "
        "login of whoever opens it, also an administrator's.",
        remedy="Nothing if users trust each other, and --skip domains. Else set hub.subdomains.enabled "
        "(docs/user-domains.md).",
        command=f"helm get values --all --namespace {namespace} RELEASE",
    )
