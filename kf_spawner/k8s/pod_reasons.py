"""The reasons in a pod's status and events, in sets by meaning, and a container's end from its status.

From the kubelet (pkg/kubelet/images/types.go, pkg/kubelet/eviction) and the CRI (cri-api/pkg/errors).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IMAGE = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
"""A container waits: its image cannot be pulled."""

WRONG_IMAGE_NAME = "InvalidImageName"
IMAGE_NOT_PRESENT = "ErrImageNeverPull"

CONFIG = "CreateContainerConfigError"
"""A container waits for what it needs, such as a Secret."""

START = frozenset({"CreateContainerError", "RunContainerError"})
"""A container waits: it cannot be started."""

VOLUME = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
"""Of events: a pod waits for a volume. Its status only says that its containers are being created."""

AFTER_VOLUMES = frozenset({"Pulling", "Pulled", "Created", "Started"})
"""Of events that come after a pod's network and volumes are there."""

CRASH_LOOP = "CrashLoopBackOff"
OUT_OF_MEMORY = "OOMKilled"
EVICTED = "Evicted"

DISRUPTED = frozenset({EVICTED, "NodeLost", "NodeShutdown", "Shutdown", "Terminated", "Preempting"})
"""Reasons of a failed pod's own status: its node or the cluster ended it, not its program."""

_TIMED_OUT = "Unable to attach or mount volumes"
_LOW = re.compile(r"low on resource: ([\w./-]*\w)")


def containers(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The statuses of a pod's containers, init containers first."""
    status = pod.get("status") or {}
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def waiting(container: Mapping[str, Any]) -> tuple[str, str]:
    """(reason, message) of what a container waits for; empty texts if it does not wait."""
    found = (container.get("state") or {}).get("waiting") or {}
    return found.get("reason") or "", found.get("message") or ""


def missing_volume(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The event that best says which volume a pod waits for; empty if it waits for none.

    `events` are the pod's, oldest first. Between messages with the cause, the kubelet says that it has timed out.
    """
    reasons = [event.get("reason") for event in events]
    begin = max((place + 1 for place, reason in enumerate(reasons) if reason in AFTER_VOLUMES), default=0)
    failed = [event for event in events[begin:] if event.get("reason") in VOLUME]
    naming = [event for event in failed if not event.get("message", "").startswith(_TIMED_OUT)]
    return next(reversed(naming or failed), {})


def ended(container: Mapping[str, Any]) -> dict[str, Any]:
    """How a container last ended; empty if it never did."""
    for key in ("state", "lastState"):
        found: dict[str, Any] | None = (container.get(key) or {}).get("terminated")
        if found:
            return found
    return {}


def starts_again(pod: Mapping[str, Any]) -> bool:
    """Whether the kubelet will start a container of the pod again: until then its status says `terminated`.

    By the pod's restart policy:
    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#container-restarts
    """
    status: Mapping[str, Any] = pod["status"]
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") != "Running":
        return False
    policy = pod["spec"].get("restartPolicy", "Always")
    ends = [(each.get("state") or {}).get("terminated") for each in status.get("containerStatuses") or ()]
    return any(end and (policy == "Always" or (policy == "OnFailure" and end["exitCode"])) for end in ends)


def is_out_of_memory(pod: Mapping[str, Any]) -> bool:
    """Whether a container of the pod last ended because it used more memory than its limit."""
    return any(ended(container).get("reason") == OUT_OF_MEMORY for container in containers(pod))


def low_resource(message: str) -> str:
    """The resource that a node ran out of, from the message of an eviction; empty if it names none."""
    found = _LOW.search(message)
    return found[1] if found else ""
