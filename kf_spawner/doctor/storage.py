"""Storage: classes, and why a claim does not bind. Pure."""

from typing import Any

from kf_spawner.k8s.metadata import DEFAULT_CLASS

from .events import newest
from .findings import Finding, error, quoting, warning

DEFAULT_CLASS_HELP = f"kubectl annotate storageclass NAME {DEFAULT_CLASS}=true"


def classes(items: list[dict[str, Any]], *, wanted: str = "") -> list[Finding]:
    """Whether homes have a storage class: the one `wanted`, or the cluster's default."""
    names = [item["metadata"]["name"] for item in items]
    defaults = [name for name, item in zip(names, items, strict=True) if _is_default(item)]
    listed = f"There are: {', '.join(names)}." if names else "There is none at all."
    if wanted:
        if wanted in names:
            return []
        cause = f"The storage class {wanted} does not exist. {listed}"
        remedy = "Name one that exists, or ask an administrator to make it."
    elif not defaults:
        cause = f"The cluster has no default StorageClass, so home volumes stay without storage. {listed}"
        remedy = (
            f"Make one the default ('{DEFAULT_CLASS_HELP}'), or name one for the hub and with --storage-class."
            if names
            else "Install a storage provisioner (a CSI driver, or local-path on a single machine) and its class."
        )
    elif len(defaults) > 1:
        return [
            warning(
                "storage",
                f"The cluster has several default StorageClasses ({', '.join(defaults)}): the newest one is taken.",
                remedy=f"Remove the annotation {DEFAULT_CLASS} from all but one.",
                command="kubectl get storageclass",
            )
        ]
    else:
        return []
    return [error("storage", cause, remedy=remedy, command="kubectl get storageclass")]


def unbound(claim: dict[str, Any], events: list[dict[str, Any]], *, check: str = "claim") -> Finding:
    """Why this claim, which has waited for long enough, has no volume. `events`: those about it, oldest first."""
    meta = claim["metadata"]
    name, namespace = meta["name"], meta["namespace"]
    chosen = claim["spec"].get("storageClassName") or ""
    of_class = f"of storage class {chosen}" if chosen else "without a storage class"
    # Kubernetes repeats that it waits for the provisioner after the provisioner has said why it fails.
    waits = {"FailedBinding", "ExternalProvisioning", "WaitForPodScheduled"}
    event = newest(events, {"ProvisioningFailed"}) or newest(events, waits)
    reason, message = event.get("reason"), event.get("message", "")
    if claim.get("status", {}).get("phase") == "Lost":
        what, remedy = "has lost its volume", "Restore the volume, or delete the claim: what was on it is gone."
    elif reason == "ExternalProvisioning":
        what = "waits for its provisioner, which does not act"
        remedy = "Look at the provisioner that the message names: is its pod running, and what does its log say?"
    elif reason == "ProvisioningFailed":
        what, remedy = "cannot be given a volume", "The message says what the provisioner lacks."
    elif reason == "FailedBinding" and not chosen:
        what = "fits no volume"
        remedy = f"Make a storage class the default: '{DEFAULT_CLASS_HELP}'."
    else:
        what, remedy = "does not bind", "Look at the provisioner of its class, or use another class."
    return error(
        check,
        quoting(f"The claim {namespace}/{name} {of_class} {what}.", message),
        remedy=remedy,
        command=f"kubectl describe storageclass {chosen}" if chosen else "kubectl get storageclass",
    )


def _is_default(storage_class: dict[str, Any]) -> bool:
    return (storage_class["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"
