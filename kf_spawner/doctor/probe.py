"""The probes: their manifests, and the findings from their results. Pure.

A probe is a pod as users' servers are: user 1000, group 100, no privilege. It is allowed at every Pod Security level
and names its resources, as quotas want. Its result is in its termination message, so no right to read logs is needed.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from kf_spawner.k8s.metadata import MANAGED_BY, POD_SECURITY, selector
from kf_spawner.k8s.names import HOME_GROUP

from . import dns, storage
from .events import about, newest
from .findings import Finding, error, quoting, warning
from .platform import finding
from .pods import label, trouble

DOCTOR = "kf-spawner-doctor"
LABELS = {MANAGED_BY: DOCTOR}
SELECTOR = selector(LABELS)
REPORT = "/dev/termination-log"
MOUNT = "/probe"
UID = 1000
CLAIM_SIZE = "16Mi"

_NETWORK = """
import json, os, socket, time
def attempt(work):
    for pause in (1, 2, 0):
        try:
            work()
            return ""
        except OSError as error:
            told = str(error)
            time.sleep(pause)
    return told
address = os.environ["KUBERNETES_SERVICE_HOST"], int(os.environ["KUBERNETES_SERVICE_PORT"])
service = attempt(lambda: socket.create_connection(address, 5).close())
dns = attempt(lambda: socket.getaddrinfo(os.environ["NAME"], None))
with open(os.environ["REPORT"], "w") as report:
    json.dump({"address": address[0], "service": service, "dns": dns}, report)
"""
_CLAIM = """
import json, os
told = ""
try:
    path = os.environ["FOLDER"] + "/kf-spawner-doctor"
    with open(path, "w") as file:
        file.write("written")
    os.remove(path)
except OSError as error:
    told = str(error)
with open(os.environ["REPORT"], "w") as report:
    json.dump({"write": told}, report)
"""


@dataclass(frozen=True)
class Terms:
    """What the pods of one run share: namespace, prefix of their names, pull secrets, tolerations."""

    place: str
    run: str
    pull_secrets: tuple[str, ...] = ()
    tolerations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Probe:
    """A pod that answers one question, and the claim that it mounts, if any."""

    question: Literal["network", "claim", "image"]
    pod: dict[str, Any]
    claim: dict[str, Any] | None = None


@dataclass(frozen=True)
class ProbeResult:
    """What the API server says about a probe now. `events` are all of its namespace's."""

    pod: dict[str, Any]
    claim: dict[str, Any] | None
    events: list[dict[str, Any]]
    now: datetime


def namespace(name: str) -> dict[str, Any]:
    """A namespace for probes, with the Pod Security level of a user's."""
    labels = {**LABELS, POD_SECURITY: "baseline"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def of_network(terms: Terms, *, image: str) -> Probe:
    command, env = ["python3", "-c", _NETWORK], {"NAME": "kubernetes.default.svc"}
    return Probe("network", _pod(terms, "network", image, command, env=env))


def of_claim(terms: Terms, *, image: str, storage_class: str = "") -> Probe:
    name = f"{terms.run}-claim"
    claim: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": terms.place, "labels": LABELS},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": CLAIM_SIZE}}},
    }
    if storage_class:
        claim["spec"]["storageClassName"] = storage_class
    pod = _pod(terms, "claim", image, ["python3", "-c", _CLAIM], env={"FOLDER": MOUNT})
    pod["spec"]["volumes"] = [{"name": "home", "persistentVolumeClaim": {"claimName": name}}]
    pod["spec"]["containers"][0]["volumeMounts"] = [{"name": "home", "mountPath": MOUNT}]
    return Probe("claim", pod, claim)


def of_image(terms: Terms, *, number: int, image: str) -> Probe:
    """Whether `image` can be pulled; whether it has a program `true` does not matter."""
    return Probe("image", _pod(terms, f"image-{number}", image, ["true"]))


def verdict(probe: Probe, result: ProbeResult, *, dns_pods: list[dict[str, Any]] | None) -> list[Finding] | None:
    """What the probe found, once it has done its work; None before. `dns_pods`: None if we may not look at them."""
    status = result.pod.get("status") or {}
    container: dict[str, Any] = next(iter(status.get("containerStatuses") or []), {})
    state = container.get("state") or {}
    if probe.question == "image":
        waiting = (state.get("waiting") or {}).get("reason")
        return [] if "terminated" in state or "running" in state or waiting == "CreateContainerError" else None
    ended = state.get("terminated")
    if not ended:
        return None
    try:
        report = json.loads(ended.get("message") or "")
    except ValueError:
        return [_without_report(result.pod, ended)]
    if probe.question == "claim":
        return _of_writing(result, report)
    return _of_network(result.pod, report, dns_pods)


def obstacle(probe: Probe, result: ProbeResult) -> Finding | None:
    """The finding for what keeps the probe from its work now; None if nothing is known."""
    wrong = trouble(result.pod, about(result.events, result.pod), now=result.now)
    if wrong and result.pod["metadata"]["name"] in wrong.command:  # the pod will be gone: name its node instead
        wrong = replace(wrong, command=f"kubectl describe node {result.pod['spec'].get('nodeName', '')}".rstrip())
    if wrong and wrong.check != "claim":
        return finding(wrong)
    if _is_unbound(result):
        assert result.claim is not None
        events = about(result.events, result.claim)
        # A pod waits for its volume from the start: only a volume that cannot be created is a fault.
        return (
            storage.unbound(result.claim, events) if newest(events, {"ProvisioningFailed", "FailedBinding"}) else None
        )
    return finding(wrong) if wrong and result.pod["spec"].get("nodeName") else None


def too_late(probe: Probe, result: ProbeResult, *, timeout: float) -> Finding:
    """The finding for a probe that did not end in `timeout` seconds without a known fault."""
    if _is_unbound(result):
        assert result.claim is not None
        return storage.unbound(result.claim, about(result.events, result.claim))
    last = next(iter(about(result.events, result.pod)[::-1]), {}).get("message", "")
    remedy = "If it still pulls its image, allow more time with --timeout; else look at its node."
    if probe.question == "image":  # gigabytes take minutes, and no failure is reported
        image = result.pod["spec"]["containers"][0]["image"]
        cause = f"The image {image} has not been pulled within {timeout:.0f} seconds: a first start may take long."
        return warning("images", quoting(cause, last), remedy=remedy, command="kubectl describe nodes")
    cause = f"Pod {label(result.pod)}, which the doctor made, has not finished within {timeout:.0f} seconds."
    return error("pod", quoting(cause, last), remedy=remedy, command="kubectl describe nodes")


def _pod(
    terms: Terms, name: str, image: str, command: list[str], *, env: dict[str, str] | None = None
) -> dict[str, Any]:
    variables = {"REPORT": REPORT, **(env or {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{terms.run}-{name}", "namespace": terms.place, "labels": LABELS},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "imagePullSecrets": [{"name": secret} for secret in terms.pull_secrets],
            "tolerations": list(terms.tolerations),
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": UID,
                "runAsGroup": HOME_GROUP,
                "fsGroup": HOME_GROUP,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": command,
                    "env": [{"name": key, "value": value} for key, value in variables.items()],
                    "terminationMessagePath": REPORT,
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "32Mi"},
                        "limits": {"cpu": "500m", "memory": "128Mi"},
                    },
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def _is_unbound(result: ProbeResult) -> bool:
    return result.claim is not None and (result.claim.get("status") or {}).get("phase") != "Bound"


def _without_report(pod: dict[str, Any], ended: dict[str, Any]) -> Finding:
    image = pod["spec"]["containers"][0]["image"]
    words = " ".join(filter(None, (ended.get("reason"), ended.get("message"))))
    cause = f"A pod of the image {image} ended with exit code {ended.get('exitCode')} before it reported a result."
    remedy = "The image must have python3: name another one with --image, such as the platform's own hub image."
    command = f"kubectl describe node {pod['spec'].get('nodeName', '')}"
    return error("pod", quoting(cause, words), remedy=remedy, command=command)


def _of_network(pod: dict[str, Any], report: dict[str, Any], dns_pods: list[dict[str, Any]] | None) -> list[Finding]:
    node, found = pod["spec"].get("nodeName", ""), []
    if not pod["status"].get("podIP"):
        cause = f"A pod on node {node} ran without an address of its own."
        remedy = "Look at the cluster's network plugin."
        found.append(error("network", cause, remedy=remedy, command="kubectl get pods --namespace kube-system"))
    if report.get("service"):
        cause = (
            f"A pod on node {node} cannot reach the API server at its service address {report.get('address')}: "
            f"{report['service']}."
        )
        remedy = f"Check whether kube-proxy (or what replaces it) runs on node {node}, and at NetworkPolicies."
        command = "kubectl get pods --namespace kube-system --output wide"
        found.append(error("network", cause, remedy=remedy, command=command))
    if report.get("dns"):
        found.append(dns.unresolved(node, report["dns"], dns_pods))
    return found


def _of_writing(result: ProbeResult, report: dict[str, Any]) -> list[Finding]:
    if not report.get("write"):
        return []
    chosen = ((result.claim or {}).get("spec") or {}).get("storageClassName", "")
    program = f"A user's program (uid {UID}, group {HOME_GROUP})"
    cause = f"{program} cannot write to a volume of class {chosen}: {report['write']}."
    remedy = (
        "The driver ignores fsGroup: use another storage class, set its CSIDriver's fsGroupPolicy, or give the "
        "directories that it serves to group 100."
    )
    return [error("claim", cause, remedy=remedy, command=f"kubectl get storageclass {chosen} --output yaml")]
