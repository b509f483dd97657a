"""Why the API server refuses to create a pod: quota, Pod Security, an admission webhook. Pure."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Trouble:
    """What is wrong with one pod; `check` is its check if the pod is the doctor's own."""

    check: str
    cause: str
    remedy: str
    command: str
    message: str = ""
    """Kubernetes' own words."""


def creation_trouble(message: str, *, what: str, namespace: str) -> Trouble:
    """From the message of a refused creation. `what` begins a sentence: "The pods of Deployment hub"."""
    quota = re.search(r"exceeded quota: ([^,]+),", message)
    unset = re.search(r"failed quota: ([^:]+): must specify (\S.*)", message)
    webhook = re.search(r'failed calling webhook "([^"]+)"', message)
    denied = re.search(r'admission webhook "([^"]+)" denied', message)
    account = re.search(r'serviceaccount "?([^" ]+)"? not found', message, re.IGNORECASE)
    if quota:
        cause = f"{what} are refused: the quota {quota[1]} of namespace {namespace} is full."
        remedy = "Raise the quota, or delete what is not needed there."
        command = f"kubectl describe resourcequota {quota[1]} --namespace {namespace}"
    elif unset:
        cause = f"{what} are refused: the quota {unset[1]} requires each container to set {unset[2]}."
        remedy = "Set these resources in the chart's values, or give the namespace a LimitRange with defaults."
        command = f"kubectl describe resourcequota {unset[1]} --namespace {namespace}"
    elif "violates PodSecurity" in message:
        cause = f"{what} are refused: the Pod Security level of namespace {namespace} forbids what they ask for."
        remedy = (
            f"Install into another namespace, or set its label pod-security.kubernetes.io/enforce{_level(message)}."
        )
        command = f"kubectl get namespace {namespace} --show-labels"
    elif webhook:
        cause = f"{what} are refused: the admission webhook {webhook[1]} does not answer."
        remedy = "Start the webhook's pods, or remove its configuration: it blocks every new object."
        command = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
    elif denied:
        cause = f"{what} are refused by the admission webhook {denied[1]}."
        remedy = "Its message names the rule: change the values accordingly, or ask whoever made the rule."
        command = "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations"
    elif account:
        cause = f"{what} are refused: the service account {account[1].rpartition('/')[2]} does not exist."
        remedy = "Install the chart again; if it is the account 'default', the controller manager does not work."
        command = f"kubectl get serviceaccounts --namespace {namespace}"
    else:
        cause = f"{what} are refused by the API server."
        remedy = "The message says which field or which rule."
        command = f"kubectl get events --namespace {namespace}"
    return Trouble("pod", cause, remedy, command, message)


def _level(message: str) -> str:
    """The sufficient level: every rule of `baseline` is one of `restricted`."""
    return "=baseline" if 'violates PodSecurity "restricted' in message else "=privileged"
