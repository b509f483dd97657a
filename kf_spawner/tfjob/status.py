"""A job's status: conditions and counts, and the small memory that outlives its pods.

The memory is `status.tasks`, an object from `worker-0` to what a later reconcile cannot see any more:
`succeeded` (its pod may be gone and is not created again), `restarts` (times it was restarted), `pod` (uid of
the failed pod counted last, so that it is counted once whatever happens between count and deletion) and
`restartTime`. `status.stopped` says that a limit ended the job: what still runs is stopped.
"""

from datetime import datetime
from typing import Any

from kf_spawner.k8s import conditions, times

from .names import KIND

CREATED, RUNNING, RESTARTING = "Created", "Running", "Restarting"
SUCCEEDED, FAILED, SUSPENDED = "Succeeded", "Failed", "Suspended"
CREATE_REFUSED = "TFJobCreateRefused"
_EVICTS = {RUNNING: RESTARTING, RESTARTING: RUNNING}


def reason_of(condition: str) -> str:
    """`TFJobCreated` for `Created`."""
    return KIND + condition


def is_finished(status: dict[str, Any]) -> bool:
    return conditions.is_true(status, SUCCEEDED) or conditions.is_true(status, FAILED)


def set_condition(
    status: dict[str, Any], kind: str, *, message: str, now: datetime, value: bool = True, reason: str = ""
) -> bool:
    """Puts a condition at the end of `status["conditions"]`, in place; False if nothing had to change.

    Running and Restarting exclude each other; the end of a job turns Running to False. `reason` defaults to the
    condition's own.
    """
    reason = reason or reason_of(kind)
    text = "True" if value else "False"
    current = conditions.find(status, kind)
    if conditions.is_true(status, FAILED) or (current and (current["status"], current["reason"]) == (text, reason)):
        return False
    kept = [
        _ended(entry, now=now) if kind in (SUCCEEDED, FAILED) else entry
        for entry in status.get("conditions") or ()
        if entry["type"] not in (kind, _EVICTS.get(kind))
    ]
    same = current.get("status") == text
    status["conditions"] = [
        *kept,
        {
            "type": kind,
            "status": text,
            "reason": reason,
            "message": message,
            "lastUpdateTime": times.text(now),
            "lastTransitionTime": current["lastTransitionTime"] if same else times.text(now),
        },
    ]
    return True


def amend_created(status: dict[str, Any], *, reason: str, message: str, now: datetime) -> bool:
    """Says in the Created condition, where it stands, why a job does not get on; False if it said so already."""
    for index, entry in enumerate(status.get("conditions") or ()):
        if entry["type"] != CREATED:
            continue
        # A kubelet's words for one and the same trouble go to and fro; a refusal in other words is another one.
        is_told = entry["reason"] == reason and (reason != CREATE_REFUSED or entry["message"] == message)
        if not is_told:
            amended = {**entry, "reason": reason, "message": message, "lastUpdateTime": times.text(now)}
            status["conditions"] = [*status["conditions"][:index], amended, *status["conditions"][index + 1 :]]
        return not is_told
    return False


def _ended(entry: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """As the original: it stays where it is and keeps its words."""
    if entry["type"] != RUNNING or entry["status"] == "False":
        return entry
    return {**entry, "status": "False", "lastUpdateTime": times.text(now), "lastTransitionTime": times.text(now)}
