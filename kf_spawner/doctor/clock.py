"""Clocks: two machines whose clocks differ disagree about expiry times. Pure."""

from typing import Any

from kf_spawner.k8s import times

from .findings import Finding, warning

TOLERATED = 30.0
"""Seconds. Tokens are refused from a minute on; a timestamp has whole seconds, and a request takes some."""


def ours(skew: float) -> list[Finding]:
    """`skew`: seconds that this machine's clock is ahead of the API server's."""
    if abs(skew) <= TOLERATED:
        return []
    return [
        warning(
            "clock",
            f"This machine's clock is {_words(skew)} the API server's: new tokens and certificates are refused.",
            remedy="Turn on time synchronisation (NTP) on both machines.",
            command="timedatectl",
        )
    ]


def of_nodes(leases: list[dict[str, Any]]) -> list[Finding]:
    """From the Leases in kube-node-lease: a kubelet writes its own time, the API server records its own."""
    skews = {lease["metadata"]["name"]: skew for lease in leases if (skew := _skew(lease)) is not None}
    return [
        warning(
            "clock",
            f"The clock of node {name} is {_words(skew)} the API server's: pods there may be refused by it.",
            remedy=f"Turn on time synchronisation (NTP) on node {name}.",
            command=f"kubectl get lease {name} --namespace kube-node-lease --output yaml --show-managed-fields",
        )
        for name, skew in sorted(skews.items())
        if abs(skew) > TOLERATED
    ]


def _skew(lease: dict[str, Any]) -> float | None:
    renewed = (lease.get("spec") or {}).get("renewTime")
    noted = [entry["time"] for entry in lease["metadata"].get("managedFields") or [] if _owns_renew_time(entry)]
    if not renewed or not noted:
        return None
    return (times.parse(renewed) - times.parse(max(noted))).total_seconds()


def _owns_renew_time(entry: dict[str, Any]) -> bool:
    return bool(entry.get("time")) and "f:renewTime" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})


def _words(skew: float) -> str:
    return f"{abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
