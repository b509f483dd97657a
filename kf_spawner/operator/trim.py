"""Trims pods and services to the fields that decisions read: thousands of them are kept in memory."""

from collections.abc import Iterable
from typing import Any

from kf_spawner.tfjob.names import INDEX_LABEL, JOB_LABEL, OPERATOR_LABEL, TYPE_LABEL

METADATA = ("name", "namespace", "uid", "resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds")
LABELS = (OPERATOR_LABEL, JOB_LABEL, TYPE_LABEL, INDEX_LABEL)
OWNER = ("name", "uid", "controller")
CONDITION = ("type", "status", "reason", "message")
TOLD_CONDITIONS = ("PodScheduled", "DisruptionTarget")
CONTAINER_STATUS = ("name", "image", "restartCount", "state")


def trim_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """The pod in a tenth of its memory; every function of `tfjob.pods` gives the same answer as for the whole pod."""
    status = pod.get("status") or {}
    kept = _those(status, ("phase", "reason", "message"))
    kept["conditions"] = [
        _those(entry, CONDITION) for entry in status.get("conditions") or () if entry.get("type") in TOLD_CONDITIONS
    ]
    for name in ("initContainerStatuses", "containerStatuses"):
        if status.get(name):
            kept[name] = [_container(entry) for entry in status[name]]
    return {"metadata": _metadata(pod), "spec": _those(pod.get("spec") or {}, ("nodeName",)), "status": kept}


def _container(entry: dict[str, Any]) -> dict[str, Any]:
    """Of the run before this one only the reason of its end matters."""
    kept = _those(entry, CONTAINER_STATUS)
    reason = ((entry.get("lastState") or {}).get("terminated") or {}).get("reason")
    return {**kept, "lastState": {"terminated": {"reason": reason}}} if reason else kept


def trim_service(service: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": _metadata(service)}


def _metadata(obj: dict[str, Any]) -> dict[str, Any]:
    meta = obj["metadata"]
    kept = _those(meta, METADATA)
    kept["labels"] = _those(meta.get("labels") or {}, LABELS)
    kept["ownerReferences"] = [_those(owner, OWNER) for owner in meta.get("ownerReferences") or ()]
    return kept


def _those(obj: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Made with our own texts as keys: those of an answer are new ones each time."""
    return {name: obj[name] for name in names if name in obj}
