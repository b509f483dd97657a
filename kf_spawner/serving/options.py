"""A user's options for an endpoint -> `Options`, or every problem of them. Pure.

Owns what is valid, and the table of options and paths of the Deployment; `endpoint` makes the Deployment.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from kf_spawner.field_table import FieldTable
from kf_spawner.k8s.quantities import is_amount
from kf_spawner.wrong_input import FieldError, WrongInput, not_an_amount

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
    """`Options` from what a user sent. Raises WrongInput with every problem, in the order of PATHS."""
    if errors := problems(raw):
        raise WrongInput(errors)
    resources = raw.get("resources") or {}
    limits = {key: str(value) for key, value in (resources.get("limits") or {}).items()}
    requests = {key: str(value) for key, value in (resources.get("requests") or {}).items()}
    # Without a request, Kubernetes requests the limit: a default must not exceed it.
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


def problems(raw: Mapping[str, Any]) -> list[FieldError]:
    """Everything that is wrong with what a user sent: unknown options first, then in the order of PATHS."""
    if not isinstance(raw, Mapping):
        return [FieldError("options", f"must be an object, got {type(raw).__name__}")]
    unknown = [
        FieldError(str(name), f"is not an option of an endpoint; use one of {', '.join(_CHECKS)}")
        for name in raw
        if name not in _CHECKS
    ]
    return [*unknown, *(error for name, check in _CHECKS.items() for error in check(name, raw.get(name)))]


def replicas_of(change: Mapping[str, Any]) -> int:
    """The `replicas` of a change of an endpoint: the only option that may change. Raises WrongInput."""
    errors = [
        FieldError(str(name), "cannot be changed: delete the endpoint and make it again (replace=True does)")
        for name in change
        if name != "replicas"
    ]
    replicas = change.get("replicas")
    if replicas is None:
        errors.append(FieldError("replicas", f"is missing: give a number from 1 to {MAX_REPLICAS}"))
    if errors := [*errors, *_check_replicas("replicas", replicas)]:
        raise WrongInput(errors)
    return int(change["replicas"])


def _clean(path: str) -> str:
    return "" if path in ("", ".") else PurePosixPath(path).as_posix()


def _check_name(field: str, value: object) -> Iterator[FieldError]:
    if not isinstance(value, str) or not value:
        yield FieldError(field, "is missing: give the endpoint a name, such as digits")
    elif len(value) > MAX_NAME:
        yield FieldError(field, f"has {len(value)} characters: use at most {MAX_NAME}")
    elif not _LABEL.fullmatch(value):
        yield FieldError(
            field,
            f"{value!r} is not a valid name: use lower-case letters, digits and dashes, "
            "with a letter first and no dash at the end",
        )
    elif value in RESERVED:
        yield FieldError(field, f"{value!r} is reserved: use another name")


def _check_claim(field: str, value: object) -> Iterator[FieldError]:
    if not isinstance(value, str) or not value:
        yield FieldError(field, "is missing: name the volume claim that holds the model")
    elif len(value) > 253 or not _CLAIM.fullmatch(value):
        yield FieldError(field, f"{value!r} is not a valid name of a volume claim")


def _check_sub_path(field: str, value: object) -> Iterator[FieldError]:
    if value is None:
        return
    if not isinstance(value, str):
        yield FieldError(field, f"must be text, got {type(value).__name__}")
    elif value.startswith("/"):
        yield FieldError(field, f"{value!r} must be relative to the root of the claim: leave out the / at the start")
    elif ".." in PurePosixPath(value).parts:
        yield FieldError(field, f"{value!r} must not contain '..': name the folder by its own path")
    elif any(ord(character) < 32 for character in value) or len(value) > 1024:
        yield FieldError(field, "must be a plain path of at most 1024 characters")


def _check_image(field: str, value: object) -> Iterator[FieldError]:
    if not isinstance(value, str) or not value:
        yield FieldError(field, "is missing: name the image of the model server")
    elif len(value) > 512 or not _IMAGE.fullmatch(value):
        yield FieldError(field, f"{value!r} is not an image reference, such as registry/repository/model-server:1.0")


def _check_replicas(field: str, value: object) -> Iterator[FieldError]:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        yield FieldError(field, f"must be a whole number, got {value!r}")
    elif not 1 <= value <= MAX_REPLICAS:
        yield FieldError(field, f"{value} is out of range: use 1 to {MAX_REPLICAS}")


def _check_resources(field: str, value: object) -> Iterator[FieldError]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        example = '{"limits": {"memory": "1Gi"}}'
        yield FieldError(field, f"must be an object such as {example}, got {type(value).__name__}")
        return
    for kind, amounts in value.items():
        if kind not in ("requests", "limits"):
            yield FieldError(f"{field}.{kind}", "is unknown: use requests and limits")
        elif isinstance(amounts, Mapping):
            yield from _check_amounts(f"{field}.{kind}", amounts)
        elif amounts is not None:
            yield FieldError(f"{field}.{kind}", f"must be an object, got {type(amounts).__name__}")


def _check_amounts(field: str, amounts: Mapping[object, object]) -> Iterator[FieldError]:
    for resource, amount in amounts.items():
        if not isinstance(resource, str) or not _RESOURCE.fullmatch(resource):
            yield FieldError(
                f"{field}[{resource}]", "is not a resource: use cpu, memory or one such as nvidia.com/gpu"
            )
        elif not is_amount(amount):
            yield FieldError(f"{field}[{resource}]", not_an_amount(amount, "500m, 2 or 1Gi"))


def _check_env(field: str, value: object) -> Iterator[FieldError]:
    if value is None:
        return
    if not isinstance(value, Mapping):
        yield FieldError(field, f"must be an object of names and texts, got {type(value).__name__}")
        return
    for name, text in value.items():
        if not isinstance(name, str) or not _ENV_NAME.fullmatch(name):
            yield FieldError(field, f"{name!r} is not a name of an environment variable")
        elif not isinstance(text, str):
            yield FieldError(field, f"{name} must be text, got {text!r}: put it in quotes")


_CHECKS: dict[str, Callable[[str, object], Iterator[FieldError]]] = {
    "name": _check_name,
    "claim": _check_claim,
    "sub_path": _check_sub_path,
    "image": _check_image,
    "replicas": _check_replicas,
    "resources": _check_resources,
    "env": _check_env,
}
_CONTAINER = "spec.template.spec.containers[0]"
PATHS = FieldTable([
    ("name", "metadata.name"),
    ("claim", "spec.template.spec.volumes[0].persistentVolumeClaim.claimName"),
    ("sub_path", f"{_CONTAINER}.volumeMounts[0].subPath"),
    ("image", f"{_CONTAINER}.image"),
    ("replicas", "spec.replicas"),
    ("resources.*", f"{_CONTAINER}.resources.*"),
    ("env", f"{_CONTAINER}.env"),
])  # fmt: skip
"""Every option and the path of the Deployment that it becomes."""
