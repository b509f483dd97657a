"""What a ResourceQuota or a LimitRange refuses, in words. Pure.

Messages are those of the admission plugins ResourceQuota and LimitRanger
(https://github.com/kubernetes/kubernetes/tree/master/plugin/pkg/admission/limitranger, .../resourcequota).
"""

import re
from typing import NamedTuple

from .names import resource_words

_EXCEEDED = re.compile(r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)")
_UNSET = re.compile(r"failed quota: ([^:]+): must specify (\S.*)")
_UNKNOWN = re.compile(r"status unknown for quota: ([^,]+)")
_MISSING = re.compile(r"([^\s;,]+)(?: for: ([^;]+))?")
_RANGE = re.compile(r"(minimum|maximum) (\S+) usage per (\S+) is (\w+)(?:, but \w+ is (\w+))?")
_COUNTED = {
    "persistentvolumeclaims": "volume claims",
    "requests.storage": "storage",
    "tfjobs": "TFJobs",
    "configmaps": "ConfigMaps",
    "services": "Services",
    "deployments": "Deployments",
}


class Excess(NamedTuple):
    """What was refused, as a clause after a colon, and what to do, as a sentence."""

    said: str
    remedy: str


def read(message: str) -> Excess | None:
    """The refusal that the API server's `message` tells; None if a quota or a limit is not its cause."""
    if found := _EXCEEDED.search(message):
        requested, used, limited = (_amounts(text) for text in found.groups()[1:])
        parts = [
            f"{amount} more of {_words(name)}, with {used.get(name, '0')} of {limited.get(name, '?')} in use"
            for name, amount in requested.items()
        ]
        return Excess(
            f"it needs {'; '.join(parts)}", "Ask for less, or stop servers, jobs or endpoints that you do not need."
        )
    if found := _UNSET.search(message):
        return Excess(
            f"the quota {found[1]} wants {_missing(found[2])}",
            "Set it, or ask an administrator for a LimitRange that does.",
        )
    if found := _UNKNOWN.search(message):
        return Excess(f"what is in use of the quota {found[1]} is not known yet", "Try again in a moment.")
    if ranges := _RANGE.findall(message):
        return Excess("; ".join(_outside(*groups) for groups in ranges), "Ask for an amount within that.")
    return None


def in_words(message: str) -> str:
    """`message` for a user: in words if a quota or a limit is its cause, else unchanged."""
    found = read(message)
    return f"your quota does not allow it: {found.said}. {found.remedy}" if found else message


def _outside(bound: str, resource: str, kind: str, limit: str, asked: str) -> str:
    """Which bound of a LimitRange an amount is beyond; `asked` is empty where none was set."""
    what = "a volume claim" if kind == "PersistentVolumeClaim" else f"a {kind.lower()}"
    comparison = "at most" if bound == "maximum" else "at least"
    if asked:
        return f"it asks for {asked} of {_words(resource)}, and {what} may have {comparison} {limit}"
    return f"{what} may have {comparison} {limit} of {_words(resource)}"


def _missing(text: str) -> str:
    """`requests.cpu for: a; limits.memory for: a` as `a request of CPU and a limit of memory in the container a`."""
    of_containers: dict[str, list[str]] = {}
    for resource, containers in _MISSING.findall(text):
        kind = "limit" if resource.startswith("limits.") else "request"
        words = f"a {kind} of {_words(resource.removeprefix('limits.'))}"
        of_containers.setdefault(containers.strip().replace(",", ", "), []).append(words)
    return "; ".join(f"{' and '.join(words)} in {_named(containers)}" for containers, words in of_containers.items())


def _named(containers: str) -> str:
    if not containers:
        return "each container"
    return f"the container{'s' if ',' in containers else ''} {containers}"


def _amounts(text: str) -> dict[str, str]:
    """`pods=1,requests.cpu=2` by resource."""
    return dict(pair.strip().split("=", 1) for pair in text.split(",") if "=" in pair)


def _words(resource: str) -> str:
    """`requests.cpu` as `CPU`, `count/tfjobs.kubeflow.org` as `TFJobs`."""
    if resource in _COUNTED:
        return _COUNTED[resource]
    short = resource.removeprefix("requests.")
    if resource.startswith("count/"):
        short = resource.removeprefix("count/").partition(".")[0]
    return _COUNTED.get(short) or resource_words(short)
