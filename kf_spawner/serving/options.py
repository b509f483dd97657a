"""What a user may ask of an endpoint, checked: raw options -> `Options`, or every error by its field.

Pure. Knows what is valid, not what manifests look like.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from kf_spawner.k8s.quantities import is_amount

MAX_NAME = 40
"""Longest name of an endpoint: leaves room for the suffixes that its pods' names get."""

MAX_REPLICAS = 32

DEFAULT_REQUESTS = {"cpu": "100m", "memory": "256Mi"}
"""Small enough that an endpoint beside a notebook fits on a laptop."""

RESERVED = frozenset({"kubernetes", "models", "serving", "v1"})
"""Names that belong to the cluster, or read as a part of the door's or the REST API's own paths."""

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESOURCE = re.compile(
    r"cpu|memory|ephemeral-storage|[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?"
)
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]*")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class EndpointInvalid(ValueError):
    """The options of an endpoint cannot be used. `errors` maps a field to what is wrong and what to do."""

    def __init__(self, errors: Mapping[str, str]) -> None:
        self.errors = dict(errors)
        super().__init__("; ".join(f"{name}: {problem}" for name, problem in self.errors.items()))


@dataclass(frozen=True, kw_only=True)
class Options:
    """An endpoint's options, valid and complete."""

    name: str
    claim: str
    sub_path: str
    image: str
    replicas: int = 1
    requests: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)


def parse(raw: Mapping[str, Any]) -> Options:
    """`Options` from what a user sent. Raises `EndpointInvalid` with an error for every wrong field."""
    if not isinstance(raw, Mapping):
        raise EndpointInvalid({"options": f"must be an object, got {type(raw).__name__}"})
    errors = {
        str(name): f"is not an option of an endpoint; these are: {', '.join(_CHECKS)}"
        for name in raw
        if name not in _CHECKS
    }
    for name, check in _CHECKS.items():
        problem = check(raw.get(name))
        if problem:
            errors[name] = problem
    if errors:
        raise EndpointInvalid(errors)
    resources = raw.get("resources") or {}
    limits = {key: str(value) for key, value in (resources.get("limits") or {}).items()}
    requests = {key: str(value) for key, value in (resources.get("requests") or {}).items()}
    # What is limited and not requested is requested at its limit by Kubernetes: a default must not go above it.
    defaults = {key: value for key, value in DEFAULT_REQUESTS.items() if key not in limits}
    return Options(
        name=raw["name"],
        claim=raw["claim"],
        sub_path=_clean(raw.get("sub_path") or ""),
        image=raw["image"],
        replicas=1 if raw.get("replicas") is None else raw["replicas"],
        requests={**defaults, **requests},
        limits=limits,
        env=dict(raw.get("env") or {}),
    )


def _clean(path: str) -> str:
    return "" if path in ("", ".") else PurePosixPath(path).as_posix()


def _check_name(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return "is missing: give the endpoint a name, such as digits"
    if len(value) > MAX_NAME:
        return f"has {len(value)} characters: at most {MAX_NAME} are possible"
    if not _LABEL.fullmatch(value):
        return (
            f"{value!r} cannot be used: take lower-case letters, digits and dashes, "
            "with a letter first and no dash at the end"
        )
    if value in RESERVED:
        return f"{value!r} is reserved: take another name"
    return None


def _check_claim(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return "is missing: name the volume claim that holds the model"
    if len(value) > 253 or not _CLAIM.fullmatch(value):
        return f"{value!r} is no valid name of a volume claim"
    return None


def _check_sub_path(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return f"must be text, got {type(value).__name__}"
    if value.startswith("/"):
        return f"{value!r} must be relative to the root of the claim: leave out the / at the start"
    if ".." in PurePosixPath(value).parts:
        return f"{value!r} must not contain '..': name the folder by its own path"
    if any(ord(character) < 32 for character in value) or len(value) > 1024:
        return "must be a plain path of at most 1024 characters"
    return None


def _check_image(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return "is missing: name the image of the model server"
    if len(value) > 512 or not _IMAGE.fullmatch(value):
        return f"{value!r} is no image reference, such as registry/repository/model-server:1.0"
    return None


def _check_replicas(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number, got {value!r}"
    if not 1 <= value <= MAX_REPLICAS:
        return f"{value} is out of range: from 1 to {MAX_REPLICAS}"
    return None


def _check_resources(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return f'must be an object such as {{"limits": {{"memory": "1Gi"}}}}, got {type(value).__name__}'
    for kind, amounts in value.items():
        if kind not in ("requests", "limits"):
            return f"{kind!r} is unknown: these are requests and limits"
        if amounts is None:
            continue
        if not isinstance(amounts, Mapping):
            return f"{kind} must be an object, got {type(amounts).__name__}"
        for resource, amount in amounts.items():
            if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
                return f"{kind}: {resource!r} is no resource: such are cpu, memory and nvidia.com/gpu"
            if not is_amount(amount):
                return f"{kind}.{resource}: {amount!r} is no quantity, such as 500m, 2 or 1Gi"
    return None


def _check_env(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        return f"must be an object of names and texts, got {type(value).__name__}"
    for name, text in value.items():
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
            return f"{name!r} is no name of an environment variable"
        if not isinstance(text, str):
            return f"{name} must be text, got {text!r}: put it in quotes"
    return None


_CHECKS: dict[str, Callable[[object], str | None]] = {
    "name": _check_name,
    "claim": _check_claim,
    "sub_path": _check_sub_path,
    "image": _check_image,
    "replicas": _check_replicas,
    "resources": _check_resources,
    "env": _check_env,
}
