"""The platform's own workloads, pods and claims: which are not ready, and why. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kf_spawner.k8s import conditions
from kf_spawner.k8s.metadata import COMPONENT, NAME, selector

from . import pods as one_pod
from . import storage
from .events import about, newest
from .findings import Finding, Severity, error, quoting
from .refusals import Trouble, creation_trouble

OURS = {NAME: "kf-spawner"}
SELECTOR = selector(OURS)
"""What the platform's own workloads and pods carry; users' servers, jobs and endpoints do not."""


def workloads(items: Iterable[dict[str, Any]], events: list[dict[str, Any]]) -> list[Finding]:
    """Deployments, StatefulSets and DaemonSets without a pod for a replica, because its creation is refused."""
    found = []
    for item in items:
        message = _refused(item, events)
        if message:
            namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
            what = f"The pods of {item['kind']} {namespace}/{name}"
            found.append(finding(creation_trouble(message, what=what, namespace=namespace), check="platform"))
    return found


def pods(items: Iterable[dict[str, Any]], events: list[dict[str, Any]], *, now: datetime) -> list[Finding]:
    """A finding for each pod that is not ready. A pod that its node ended is a warning: it gets replaced."""
    found = []
    for pod in items:
        wrong = one_pod.trouble(pod, about(events, pod), now=now)
        if wrong:
            ended = pod.get("status", {}).get("phase") == "Failed"
            found.append(finding(wrong, check="platform", severity=Severity.WARNING if ended else Severity.ERROR))
    return found


def claims(items: Iterable[dict[str, Any]], events: list[dict[str, Any]], *, used: Iterable[str]) -> list[Finding]:
    """The claims that pods of the platform use and that have no volume."""
    wanted = set(used)
    return [
        storage.unbound(claim, about(events, claim), check="platform")
        for claim in items
        if claim["metadata"]["name"] in wanted and claim.get("status", {}).get("phase") != "Bound"
    ]


def claims_of(pods: Iterable[dict[str, Any]]) -> set[str]:
    """The names of the claims that these pods mount."""
    volumes = [volume for pod in pods for volume in pod["spec"].get("volumes") or []]
    return {volume["persistentVolumeClaim"]["claimName"] for volume in volumes if "persistentVolumeClaim" in volume}


def finding(wrong: Trouble, *, check: str = "", severity: Severity = Severity.ERROR) -> Finding:
    """A pod's trouble as a finding of the check that it belongs to, or of another one."""
    return Finding(check or wrong.check, severity, quoting(wrong.cause, wrong.message), wrong.remedy, wrong.command)


def scaled_to_nothing(items: Iterable[dict[str, Any]]) -> list[Finding]:
    """Parts of the platform that are scaled to 0; the operator has a check of its own."""
    return [
        error(
            "platform",
            f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']} is scaled to 0 replicas.",
            remedy="Scale it up again, or upgrade the chart with its values.",
            command=f"kubectl get {item['kind'].lower()}s --namespace {item['metadata']['namespace']}",
        )
        for item in items
        if item["spec"].get("replicas") == 0 and component(item) != "operator"
    ]


def component(item: dict[str, Any]) -> str:
    """Which part of the platform this is."""
    return str((item["metadata"].get("labels") or {}).get(COMPONENT, ""))


def _refused(item: dict[str, Any], events: list[dict[str, Any]]) -> str:
    """The API server's message, if it refused the last pod of this workload."""
    failure = conditions.find(item.get("status"), "ReplicaFailure")
    if failure.get("status") == "True":
        return str(failure.get("message", ""))
    if item["kind"] == "Deployment":
        return ""
    last = newest(about(events, item), {"FailedCreate", "SuccessfulCreate"})
    return last.get("message", "") if last.get("reason") == "FailedCreate" else ""
