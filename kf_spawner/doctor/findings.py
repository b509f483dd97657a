"""What a check finds: one thing that is wrong, why, what to do and where to look. Pure."""

from dataclasses import dataclass
from enum import StrEnum

LONGEST = 600  # characters of Kubernetes' own words: a kubelet repeats whole command lines


class Severity(StrEnum):
    """`error`: something does not work now. `warning`: it will fail later, or for some users. `note`: nothing is
    wrong, but not every installation should be so."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """`check` is one of CHECKS, `command` shows more. All of it is for a person."""

    check: str
    severity: Severity
    cause: str
    remedy: str
    command: str


CHECKS = {
    "api": "the API server answers, and its version will do",
    "clock": "the clocks of this machine, the API server and the nodes agree",
    "rights": "this account may install the platform",
    "nodes": "there are nodes that take pods",
    "storage": "there is a storage class for claims that name none",
    "quota": "quotas leave room",
    "crd": "the TFJob kind is the one of this version",
    "operator": "somebody acts on TFJobs",
    "platform": "the platform's own pods are ready",
    "domains": "several users have a domain each",
    "pod": "a pod starts",
    "network": "a pod gets an address and reaches services",
    "dns": "a pod resolves names",
    "claim": "a claim binds, and a pod can write to it",
    "images": "images can be pulled",
    "leftovers": "what the doctor made is gone again",
}
"""Every check by name, in the order of a report, with what is true where it finds nothing."""


def error(check: str, cause: str, *, remedy: str, command: str) -> Finding:
    return Finding(check, Severity.ERROR, cause, remedy, command)


def warning(check: str, cause: str, *, remedy: str, command: str) -> Finding:
    return Finding(check, Severity.WARNING, cause, remedy, command)


def note(check: str, cause: str, *, remedy: str, command: str) -> Finding:
    return Finding(check, Severity.NOTE, cause, remedy, command)


def quoting(cause: str, message: str) -> str:
    """A cause, followed by what Kubernetes said about it."""
    words = " ".join(message.split())
    if len(words) > LONGEST:
        words = f"{words[: LONGEST // 2]} … {words[-LONGEST // 2 :]}"
    return f"{cause} Kubernetes says: {words}" if words else cause
