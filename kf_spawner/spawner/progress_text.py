"""The text and the per cent that a user reads while a server starts: of its pod, and of Kubernetes events. Pure."""

import re
from typing import Any

_PERCENT = re.compile(r"(\d{1,3}) ?%")
_IMAGE = re.compile(r'[Ii]mage "([^"]+)"')

PULL_FROM, PULL_TO = 25, 65
"""Where pulling the image starts and ends on the progress bar, in per cent."""


def sentence(event: dict[str, Any]) -> tuple[int | None, str] | None:
    """(per cent or None where it does not move, sentence) for an event of the pod or a claim; None: say nothing."""
    reason, message = event.get("reason", ""), event.get("message", "").strip()
    said = _SAID.get(reason)
    if said is not None:
        return said(message)
    if event.get("type") == "Warning":
        return None, f"Problem: {message}"
    return (None, message) if message else None


def steps(pod: dict[str, Any], container: str) -> list[tuple[int, str]]:
    """(per cent, sentence) for each step of the start that `pod` itself shows, in their order.

    Events would tell the same, but Kubernetes may deliver them late, or lose them.
    """
    taken: list[tuple[int, str]] = []
    if node := pod["spec"].get("nodeName"):
        taken.append((20, f"Found a place on node {node}."))
    statuses = pod.get("status", {}).get("containerStatuses") or []
    if any(each["name"] == container and "running" in each.get("state", {}) for each in statuses):
        taken.append((75, "Starting the notebook server."))
    return taken


def _pulling(message: str) -> tuple[int | None, str]:
    if _IMAGE.search(message):
        return PULL_FROM, f"Getting the image{_named(message)}."
    percent = _PERCENT.search(message)
    done = PULL_FROM + (PULL_TO - PULL_FROM) * min(int(percent[1]), 100) // 100 if percent else None
    return done, f"Getting the image: {message}"


def _pulled(message: str) -> tuple[int, str]:
    if "already present" in message:
        return PULL_TO, f"The image{_named(message)} is already on the node."
    return PULL_TO, f"The image{_named(message)} is ready."


def _named(message: str) -> str:
    found = _IMAGE.search(message)
    return f" {found[1]}" if found else ""


def _nothing(_message: str) -> None:
    """Events that are not shown: the pod or the diagnosis says it better, or they are not a step of a start."""
    return


_SAID = {
    "Scheduled": _nothing,
    "FailedScheduling": _nothing,
    "TriggeredScaleUp": lambda message: (None, "Waiting for a new node to come up."),
    "NotTriggerScaleUp": _nothing,
    "Pulling": _pulling,
    "Pulled": _pulled,
    "Provisioning": lambda message: (12, "Making the home volume."),
    "ExternalProvisioning": lambda message: (12, "Making the home volume."),
    "WaitForFirstConsumer": _nothing,
    "ProvisioningFailed": _nothing,
    "FailedBinding": _nothing,
    "ProvisioningSucceeded": lambda message: (16, "The home volume is ready."),
    "SuccessfulAttachVolume": lambda message: (22, "The volume is attached to the node."),
    "Created": _nothing,
    "NotEnforced": _nothing,
    "Failed": _nothing,
    "BackOff": _nothing,
    "Started": _nothing,
    "Killing": lambda message: (None, "Stopping the server."),
    "FailedMount": _nothing,
    "FailedAttachVolume": _nothing,
}
