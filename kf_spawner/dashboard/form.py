"""The create form's answers -> a TFJob manifest, and a manifest's faults -> the answers they came from. Pure.

A form is `{"name", "namespace"?, "replicas": [{"type", "count"?, "image", "command"?, "args"?, "env"?: [{"name",
"value"}], "cpu"?, "memory"?, "gpu"?, "restart_policy"?}], "volumes"?: [{"claim", "path", "read_only"?}],
"run_policy"?: {…}, "success_policy"?}`. Empty texts and null count as absent. `command` and `args` are split as a
shell splits words.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any

from kf_spawner.k8s.quantities import is_amount
from kf_spawner.tfjob.defaults import CLEAN_RUNNING
from kf_spawner.tfjob.names import API_VERSION, CANONICAL_TYPE, CONTAINER, KIND, REPLICA_TYPES
from kf_spawner.tfjob.program import GPU, HOME_GROUP, MANAGED_BY
from kf_spawner.tfjob.validation import FieldError, TFJobInvalid, validate

TEXT, LIST, OBJECT, TRUTH = "a text", "a list", "an object", "true or false"
TYPES: dict[str, type | tuple[type, ...]] = {TEXT: str, LIST: list, OBJECT: dict, TRUTH: bool}
AMOUNT = "a text or a number"
TYPES[AMOUNT] = (str, int, float)

FORM = {
    "name": TEXT,
    "namespace": TEXT,
    "replicas": LIST,
    "volumes": LIST,
    "run_policy": OBJECT,
    "success_policy": TEXT,
}
REPLICA = {
    "type": TEXT,
    "count": AMOUNT,
    "image": TEXT,
    "command": TEXT,
    "args": TEXT,
    "env": LIST,
    "cpu": AMOUNT,
    "memory": AMOUNT,
    "gpu": AMOUNT,
    "restart_policy": TEXT,
}
VOLUME = {"claim": TEXT, "path": TEXT, "read_only": TRUTH}
VARIABLE = {"name": TEXT, "value": AMOUNT}

# The rest of a path below spec.tfReplicaSpecs.<type>, and the field of the form's replica that it came from.
REPLICA_PATHS = [
    (r"replicas", "count"),
    (r"restartPolicy", "restart_policy"),
    (r"template\.spec\.containers\[0\]\.image", "image"),
    (r"template\.spec\.containers\[0\]\.command.*", "command"),
    (r"template\.spec\.containers\[0\]\.args.*", "args"),
    (r"template\.spec\.containers\[0\]\.env\[(\d+)\]\.name", r"env[\1].name"),
    (r"template\.spec\.containers\[0\]\.env\[(\d+)\].*", r"env[\1].value"),
    (r"template\.spec\.containers\[0\]\.resources.*cpu.*", "cpu"),
    (r"template\.spec\.containers\[0\]\.resources.*memory.*", "memory"),
    (r"template\.spec\.containers\[0\]\.resources.*gpu.*", "gpu"),
]
VOLUME_PATHS = [
    (r".*template\.spec\.volumes\[(\d+)\].*", r"volumes[\1].claim"),
    (r".*template\.spec\.containers\[0\]\.volumeMounts\[(\d+)\].*", r"volumes[\1].path"),
]
AMOUNTS = {"cpu": "500m or 2", "memory": "512Mi or 2Gi"}
TOP_PATHS = [
    (r"metadata\.(name|namespace)", r"\1"),
    (r"spec\.runPolicy\.?(.*)", r"run_policy.\1"),
    (r"spec\.successPolicy", "success_policy"),
    (r"spec\.tfReplicaSpecs", "replicas"),
]


def to_manifest(form: dict) -> dict:
    """The TFJob of a form; TFJobInvalid, whose errors name the form's fields, all that are wrong at once.

    Only where a form cannot be read has what `validate` finds to wait. The rest is for the API server to say.
    """
    form = _present(form)
    amounts = list(_amount_errors(form))
    if unreadable := list(_errors(form)):
        raise TFJobInvalid([*unreadable, *amounts])
    manifest = _manifest(form)
    errors = [FieldError(field_of(error.field, form), error.message) for error in validate(manifest)]
    if errors or amounts:
        raise TFJobInvalid([*errors, *amounts])
    return manifest


def _manifest(form: dict) -> dict:
    replicas = [_present(replica) for replica in form["replicas"]]
    volumes = [_present(volume) for volume in form.get("volumes") or []]
    meta = {"name": form["name"], "namespace": form.get("namespace"), "labels": dict(MANAGED_BY)}
    policy = {"cleanPodPolicy": CLEAN_RUNNING, **_present(form.get("run_policy") or {})}
    spec: dict[str, Any] = {"runPolicy": {key: _number(value) for key, value in policy.items()}}
    if form.get("success_policy"):
        spec["successPolicy"] = form["success_policy"]
    spec["tfReplicaSpecs"] = {CANONICAL_TYPE[one["type"].lower()]: _replica(one, volumes) for one in replicas}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": _present(meta), "spec": spec}


def field_of(path: str, form: dict) -> str:
    """The form's field that a manifest's path came from; the path itself where there is none."""
    for pattern, field in VOLUME_PATHS:
        if re.fullmatch(pattern, path):
            return re.sub(pattern, field, path)
    for index, replica in enumerate(form["replicas"]):
        below = f"spec.tfReplicaSpecs.{CANONICAL_TYPE[replica['type'].lower()]}"
        if path == below or path.startswith(f"{below}."):
            return f"replicas[{index}]{_below(path.removeprefix(below).lstrip('.'))}"
    for pattern, field in TOP_PATHS:
        if re.fullmatch(pattern, path):
            return re.sub(pattern, field, path).rstrip(".")
    return path


def _below(path: str) -> str:
    for pattern, field in REPLICA_PATHS:
        if re.fullmatch(pattern, path):
            return "." + re.sub(pattern, field, path)
    return ""


def _present(value: dict) -> dict:
    """Without what is empty: a form sends a text for every field that it has."""
    return {key: one for key, one in value.items() if one is not None and one != ""}


def _errors(form: dict) -> Iterator[FieldError]:
    yield from _shape(form, FORM, "")
    replicas, volumes = form.get("replicas"), form.get("volumes")
    if not form.get("name"):
        yield FieldError("name", "is missing; give the job a name")
    if not replicas:
        yield FieldError("replicas", f"is missing or empty; add one of {', '.join(REPLICA_TYPES)}")
    seen: set[str] = set()
    for index, replica in enumerate(replicas if isinstance(replicas, list) else []):
        yield from _replica_errors(replica, f"replicas[{index}]", seen)
    for index, volume in enumerate(volumes if isinstance(volumes, list) else []):
        path = f"volumes[{index}]"
        yield from _shape(volume, VOLUME, path)
        for key in ("claim", "path") if isinstance(volume, dict) else ():
            if not volume.get(key):
                yield FieldError(f"{path}.{key}", "is missing")


def _amount_errors(form: dict) -> Iterator[FieldError]:
    replicas = form.get("replicas")
    for index, replica in enumerate(replicas if isinstance(replicas, list) else []):
        for key, example in AMOUNTS.items() if isinstance(replica, dict) else ():
            if replica.get(key) not in (None, "") and not is_amount(replica[key]):
                yield FieldError(
                    f"replicas[{index}].{key}", f"is {replica[key]!r}; write an amount such as {example}"
                )


def _replica_errors(replica: Any, path: str, seen: set[str]) -> Iterator[FieldError]:
    errors = list(_shape(replica, REPLICA, path))
    yield from errors
    if errors:
        return
    kind = CANONICAL_TYPE.get(str(replica.get("type") or "").lower())
    if kind is None:
        yield FieldError(f"{path}.type", f"is not a replica type; use one of {', '.join(REPLICA_TYPES)}")
    elif kind in seen:
        yield FieldError(f"{path}.type", f"{kind} is there already; keep one of the two")
    else:
        seen.add(kind)
    if not str(replica.get("image") or "").strip():
        yield FieldError(f"{path}.image", "is missing; name the image to run")
    for key in ("count", "gpu"):
        if replica.get(key) not in (None, "") and not isinstance(_number(replica[key]), int):
            yield FieldError(f"{path}.{key}", f"is {replica[key]!r}; use a whole number")
    for key in ("command", "args"):
        try:
            shlex.split(replica.get(key) or "")
        except ValueError as error:
            yield FieldError(f"{path}.{key}", f"cannot be split into words: {str(error).lower()}")
    for index, variable in enumerate(replica.get("env") or []):
        yield from _shape(variable, VARIABLE, f"{path}.env[{index}]")
        if isinstance(variable, dict) and not variable.get("name"):
            yield FieldError(f"{path}.env[{index}].name", "is missing; name the variable")


def _shape(value: Any, fields: dict[str, str], path: str) -> Iterator[FieldError]:
    """Fields that are not known or of a wrong type."""
    if not isinstance(value, dict):
        yield FieldError(path, "must be an object")
        return
    prefix = f"{path}." if path else ""
    for key, one in value.items():
        if key not in fields:
            yield FieldError(f"{prefix}{key}", f"is not known; there are {', '.join(fields)}")
        elif one is not None and (
            not isinstance(one, TYPES[fields[key]]) or (isinstance(one, bool) and fields[key] != TRUTH)
        ):
            yield FieldError(f"{prefix}{key}", f"must be {fields[key]}")


def _replica(replica: dict, volumes: list[dict]) -> dict:
    container: dict[str, Any] = {"name": CONTAINER, "image": replica["image"].strip()}
    for key in ("command", "args"):
        if replica.get(key):
            container[key] = shlex.split(replica[key])
    variables = replica.get("env") or []
    if variables:
        container["env"] = [{"name": one["name"], "value": str(one.get("value") or "")} for one in variables]
    resources = _resources(replica)
    if resources:
        container["resources"] = resources
    spec: dict[str, Any] = {"automountServiceAccountToken": False, "containers": [container]}
    if volumes:
        container["volumeMounts"] = [_mount(index, volume) for index, volume in enumerate(volumes)]
        spec["volumes"] = [
            {"name": f"volume-{index}", "persistentVolumeClaim": {"claimName": volume["claim"]}}
            for index, volume in enumerate(volumes)
        ]
        spec["securityContext"] = {"fsGroup": HOME_GROUP}
    return {
        "replicas": _number(replica.get("count", 1)),
        "restartPolicy": replica.get("restart_policy", "Never"),
        "template": {"spec": spec},
    }


def _mount(index: int, volume: dict) -> dict:
    mount: dict[str, Any] = {"name": f"volume-{index}", "mountPath": volume["path"]}
    return {**mount, "readOnly": True} if volume.get("read_only") else mount


def _resources(replica: dict) -> dict:
    """CPU is asked for and may be exceeded; memory and GPUs are asked for and are the limit."""
    wanted = {key: str(replica[key]) for key in ("cpu", "memory") if replica.get(key)}
    limits = {"memory": wanted["memory"]} if "memory" in wanted else {}
    if _number(replica.get("gpu") or 0):
        limits[GPU] = str(_number(replica["gpu"]))
    return {key: value for key, value in (("requests", wanted), ("limits", limits)) if value}


def _number(value: Any) -> Any:
    """A text that is a whole number, as one; anything else as it is."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,9}", value.strip()) else value
