"""The API server: whether it answers, as whom, its version, and what the account may do. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .findings import Finding, error, quoting

OLDEST = (1, 30)
"""The CRD's rules need `optionalOldSelf`, which is on by default from here."""

NAMED = 8  # resources on which rights are missing that are named one by one


def version(answer: dict[str, Any]) -> list[Finding]:
    """From GET /version."""
    found = re.match(r"v?(\d+)\.(\d+)", answer.get("gitVersion") or f"{answer.get('major')}.{answer.get('minor')}")
    if found and (int(found[1]), int(found[2])) >= OLDEST:
        return []
    said = answer.get("gitVersion") or "no version"
    return [
        error(
            "api",
            f"The API server says that it is {said}; Kubernetes {OLDEST[0]}.{OLDEST[1]} or newer is needed.",
            remedy="Upgrade the cluster, or use another one.",
            command="kubectl version",
        )
    ]


def no_answer(status: int, message: str) -> list[Finding]:
    """The finding for a failed first request; `status` 0: no answer came."""
    if status == 401:
        cause = "The API server does not accept the kubeconfig's credentials: they are wrong, or they have expired."
        remedy = (
            "Get a new kubeconfig from the cluster's administrator, or log in again with the cluster's own command."
        )
    elif "CERTIFICATE_VERIFY_FAILED" in message:
        cause = "The API server's certificate cannot be trusted."
        remedy = (
            "It has expired, or is not from the authority that the kubeconfig names, or is for another host name: "
            "get a new kubeconfig, and compare the clocks."
        )
    elif status == 0:
        cause = "The API server cannot be reached."
        remedy = "Check the kubeconfig's server address, the network or VPN between here and there, and its firewall."
    else:
        cause = "The API server answers with an error."
        remedy = "Ask the cluster's administrator: the message says what is wrong."
    return [error("api", quoting(cause, message), remedy=remedy, command="kubectl cluster-info")]


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource; `namespaced` ones are needed in the platform's namespace alone."""

    group: str
    resource: str
    verb: str
    namespaced: bool = False
    name: str = ""

    def attributes(self, namespace: str) -> dict[str, Any]:
        """`resourceAttributes` of a SelfSubjectAccessReview."""
        resource, _, subresource = self.resource.partition("/")
        wanted = {
            "group": self.group,
            "resource": resource,
            "subresource": subresource,
            "verb": self.verb,
            "name": self.name,
            "namespace": namespace if self.namespaced else "",
        }
        return {key: value for key, value in wanted.items() if value}

    @property
    def target(self) -> str:
        """The right's object, as kubectl writes it."""
        group = f".{self.group}" if self.group else ""
        return f"{self.resource}{group}{f' {self.name}' if self.name else ''}"

    def __str__(self) -> str:
        return f"{self.verb} {self.target}"


EVERYTHING = Right("*", "*", "*")
GIVE_AWAY = tuple(Right("rbac.authorization.k8s.io", "clusterroles", verb) for verb in ("escalate", "bind"))
"""An account with these verbs may create and bind roles with rights that it does not have."""
MAKE_NAMESPACE = Right("", "namespaces", "create")

_IN_NAMESPACE = {
    "": ("services", "configmaps", "secrets", "serviceaccounts", "persistentvolumeclaims"),
    "apps": ("deployments",),
    "rbac.authorization.k8s.io": ("roles", "rolebindings"),
    "networking.k8s.io": ("networkpolicies",),
    "policy": ("poddisruptionbudgets",),
}
_OF_CLUSTER = {
    "apiextensions.k8s.io": ("customresourcedefinitions",),
    "rbac.authorization.k8s.io": ("clusterroles", "clusterrolebindings"),
    "admissionregistration.k8s.io": ("validatingadmissionpolicies", "validatingadmissionpolicybindings"),
}
_VERBS = ("get", "create", "patch", "delete")
_OF_RELEASES = [Right("", "secrets", verb, True) for verb in ("list", "update")]
"""Helm stores each revision of a release, with its status, in a Secret."""


def to_install() -> list[Right]:
    """Rights to create, upgrade and delete the platform's objects, without the roles' own rules."""
    inside = [
        Right(group, name, verb, True) for group, names in _IN_NAMESPACE.items() for name in names for verb in _VERBS
    ]
    inside += _OF_RELEASES
    outside = [Right(group, name, verb) for group, names in _OF_CLUSTER.items() for name in names for verb in _VERBS]
    return outside + inside


def to_grant(roles: Iterable[dict[str, Any]]) -> list[Right]:
    """The rights in these ClusterRoles: an account may only give rights that it has."""
    found = {
        Right(group, resource, verb, name=name)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or [""]
    }
    return sorted(found)


def to_probe(place: str) -> list[Right]:
    """The rights for probes: in the namespace `place` or, if it is empty, in a new one."""
    names = ("pods", "persistentvolumeclaims") if place else ("namespaces", "pods", "persistentvolumeclaims")
    return [Right("", name, verb, bool(place)) for name in names for verb in ("create", "delete")]


def rights(missing: Iterable[Right], *, account: str, namespace: str) -> list[Finding]:
    """`missing`: the rights that the API server denied."""
    verbs: dict[str, list[str]] = {}
    for right in missing:
        verbs.setdefault(right.target, []).append(right.verb)
    if not verbs:
        return []
    lacking = [f"{target} ({', '.join(dict.fromkeys(of))})" for target, of in verbs.items()]
    rest = f" and {len(lacking) - NAMED} more" if len(lacking) > NAMED else ""
    return [
        error(
            "rights",
            f"{account or 'This account'} may not install the platform into namespace {namespace}: "
            f"it lacks {', '.join(lacking[:NAMED])}{rest}.",
            remedy="Let a cluster administrator install it, or bind this account to the ClusterRole cluster-admin.",
            command=f"kubectl auth can-i --list --namespace {namespace}",
        )
    ]
