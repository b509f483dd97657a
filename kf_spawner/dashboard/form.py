"""The fields of the create form -> a TFJob, and errors of the TFJob -> the fields of the form. Pure.

A form is `{"name", "namespace"?, "replicas": [{"type", "count"?, "image", "command"?, "args"?, "env"?: [{"name",
"value"}], "cpu"?, "memory"?, "gpu"?, "restart_policy"?}], "volumes"?: [{"claim", "path", "read_only"?}],
"run_policy"?: {…}, "success_policy"?}`. Empty texts and null count as absent. `command` and `args` are split as a
shell splits words.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from kf_spawner.field_table import FieldTable
from kf_spawner.k8s.names import HOME_GROUP
from kf_spawner.tfjob import resources
from kf_spawner.tfjob.defaults import CLEAN_RUNNING
from kf_spawner.tfjob.draft import Draft, checked
from kf_spawner.tfjob.names import API_VERSION, CANONICAL_TYPE, CONTAINER, KIND, REPLICA_TYPES
from kf_spawner.tfjob.program import MANAGED
from kf_spawner.wrong_input import MOST, FieldError, with_all_around

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
MOST_ENTRIES = {"replicas": 16, "volumes": 64}
LONGEST_COMMAND = 20_000
"""Characters of a command or its arguments; splitting takes time with the square of the longest word."""
VOLUME_NEEDS = {"claim": "choose a volume claim", "path": "give the path to mount it at, such as /data"}

PATHS = (
    ("name", "metadata.name"),
    ("namespace", "metadata.namespace"),
    ("replicas", "spec.tfReplicaSpecs"),
    ("volumes", "spec.tfReplicaSpecs.{type}.template.spec.volumes"),
    ("run_policy.*", "spec.runPolicy.*"),
    ("success_policy", "spec.successPolicy"),
)
"""The form's fields and their paths in the TFJob, as in a `FieldTable`."""
_CONTAINER = "template.spec.containers[0]"
REPLICA_PATHS = (
    ("", ""),
    ("type", ""),
    ("count", "replicas"),
    ("image", f"{_CONTAINER}.image"),
    ("command", f"{_CONTAINER}.command"),
    ("args", f"{_CONTAINER}.args"),
    ("env", f"{_CONTAINER}.env"),
    ("env[{number}].name", f"{_CONTAINER}.env[{{number}}].name"),
    ("env[{number}].value", f"{_CONTAINER}.env[{{number}}]"),
    *((name, f"{_CONTAINER}.{path}") for name, path in resources.PATHS),
    ("restart_policy", "restartPolicy"),
)
"""The same of a replica: fields below `replicas[…]`, and paths below the replica's type."""
VOLUME_PATHS = (
    ("claim", "template.spec.volumes[{place}]"),
    ("path", f"{_CONTAINER}.volumeMounts[{{place}}]"),
    ("read_only", f"{_CONTAINER}.volumeMounts[{{place}}].readOnly"),
)
"""The same of a volume: fields below `volumes[…]`, and paths below every replica's type."""


def draft(form: Mapping[str, Any]) -> Draft:
    """The TFJob of a form. Its errors name the form's fields; wrong parts of the form are left out of the job."""
    form = _present(form)
    errors = list(_errors(form))
    wrong = {error.field for error in errors}
    partly_wrong = with_all_around(wrong)
    replicas, volumes = _sound(form, "replicas", partly_wrong), _sound(form, "volumes", partly_wrong)
    types = {number: "" if f"replicas[{number}].type" in wrong else _type(one) for number, one in replicas.items()}
    whole = [number for number, volume in volumes.items() if volume.keys() >= {"claim", "path"}]
    sound = {key: value for key, value in form.items() if key not in wrong}
    fields = FieldTable(
        _rows(types, {number: whole.index(number) if number in whole else None for number in volumes})
    )
    job = _manifest(sound, [replicas[number] for number, kind in types.items() if kind], [volumes[n] for n in whole])
    return checked(job, fields=fields, errors=fields.in_order(errors[:MOST]))


def _sound(form: Mapping[str, Any], name: str, wrong: set[str]) -> dict[int, dict[str, Any]]:
    """The objects of the form's list `name` by their number, without empty and wrong ones."""
    return {
        number: {key: one for key, one in _present(entry).items() if f"{name}[{number}].{key}" not in wrong}
        for number, entry in enumerate(_entries(form, name))
        if isinstance(entry, dict)
    }


def _entries(form: Mapping[str, Any], name: str) -> list[Any]:
    """What is in the form's list `name`; nothing if it is no list, or too long."""
    entries = form.get(name)
    return entries if isinstance(entries, list) and len(entries) <= MOST_ENTRIES[name] else []


def _rows(types: Mapping[int, str], places: Mapping[int, int | None]) -> Iterator[tuple[str, str]]:
    """PATHS with the form's replicas and volumes, by number.

    `types` are the replicas' types, `places` the volumes' numbers in the pod; empty or None if it has none.
    """
    for field, path in PATHS:
        yield field, path
        if field == "replicas":
            for number, kind in types.items():
                yield from _below(f"replicas[{number}]", f"spec.tfReplicaSpecs.{kind}" if kind else "", REPLICA_PATHS)
        if field == "volumes":
            for number, place in places.items():
                rows = [(inner, below.replace("{place}", str(place))) for inner, below in VOLUME_PATHS]
                every = "spec.tfReplicaSpecs.{type}"
                yield from _below(f"volumes[{number}]", every if place is not None else "", rows)


def _below(field: str, path: str, rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for inner, below in rows:
        yield f"{field}.{inner}".removesuffix("."), f"{path}.{below}".removesuffix(".") if path else ""


def _manifest(
    form: Mapping[str, Any], replicas: Sequence[dict[str, Any]], volumes: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    meta = {"name": form.get("name"), "namespace": form.get("namespace"), "labels": dict(MANAGED)}
    policy = {"cleanPodPolicy": CLEAN_RUNNING, **_present(form.get("run_policy") or {})}
    spec: dict[str, Any] = {"runPolicy": {key: _number(value) for key, value in policy.items()}}
    if form.get("success_policy"):
        spec["successPolicy"] = form["success_policy"]
    spec["tfReplicaSpecs"] = {_type(replica): _replica(replica, volumes) for replica in replicas}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": _present(meta), "spec": spec}


def _type(replica: Mapping[str, Any]) -> str:
    return CANONICAL_TYPE[replica["type"].lower()]


def _present(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without empty values: a form sends a text for every field."""
    return {key: one for key, one in value.items() if one is not None and one != ""}


def _errors(form: Mapping[str, Any]) -> Iterator[FieldError]:
    """Problems that keep a part of the form out of the TFJob; `validate` finds the rest in the TFJob."""
    yield from _shape(form, FORM, "")
    if not form.get("replicas"):
        yield FieldError("replicas", f"is missing or empty; add one of {', '.join(REPLICA_TYPES)}")
    for name, most in MOST_ENTRIES.items():
        if isinstance(form.get(name), list) and len(form[name]) > most:
            yield FieldError(name, f"has {len(form[name])} entries; use {most} at most")
    seen: set[str] = set()
    for number, replica in enumerate(_entries(form, "replicas")):
        yield from _replica_errors(replica, f"replicas[{number}]", seen)
    for number, volume in enumerate(_entries(form, "volumes")):
        where = f"volumes[{number}]"
        yield from _shape(volume, VOLUME, where)
        for key, remedy in VOLUME_NEEDS.items() if isinstance(volume, dict) else ():
            if not volume.get(key):
                yield FieldError(f"{where}.{key}", f"is missing; {remedy}")


def _replica_errors(replica: Any, where: str, seen: set[str]) -> Iterator[FieldError]:
    misshapen = list(_shape(replica, REPLICA, where))
    yield from misshapen
    if not isinstance(replica, dict):
        return
    wrong = {error.field for error in misshapen}
    sound = {key: value for key, value in replica.items() if f"{where}.{key}" not in wrong}
    kind = CANONICAL_TYPE.get((sound.get("type") or "").lower())
    if kind in seen:
        yield FieldError(f"{where}.type", f"{kind} appears twice; keep one of the two")
    elif kind is not None:
        seen.add(kind)
    elif f"{where}.type" not in wrong:
        yield FieldError(f"{where}.type", f"is not a replica type; use one of {', '.join(REPLICA_TYPES)}")
    if f"{where}.image" not in wrong and not (sound.get("image") or "").strip():
        yield FieldError(f"{where}.image", "is missing; name the image to run")
    if sound.get("count") not in (None, "") and not isinstance(_number(sound["count"]), int):
        yield FieldError(f"{where}.count", f"is {sound['count']!r}; use a whole number")
    yield from resources.errors(sound, prefix=f"{where}.")
    for key in ("command", "args"):
        try:
            _words(sound.get(key) or "")
        except ValueError as error:
            yield FieldError(f"{where}.{key}", f"cannot be split into words: {str(error).lower()}")
    for number, variable in enumerate(sound.get("env") or []):
        yield from _shape(variable, VARIABLE, f"{where}.env[{number}]")
        if isinstance(variable, dict) and not variable.get("name"):
            yield FieldError(f"{where}.env[{number}].name", "is missing; name the variable")


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


def _replica(replica: Mapping[str, Any], volumes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    container: dict[str, Any] = {"name": CONTAINER, "image": replica.get("image", "").strip()}
    for key in ("command", "args"):
        if replica.get(key):
            container[key] = _words(replica[key])
    variables = replica.get("env") or []
    if variables:
        container["env"] = [{"name": one["name"], "value": str(one.get("value") or "")} for one in variables]
    amounts = resources.requirements(replica)
    if amounts:
        container["resources"] = amounts
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


def _words(text: str) -> list[str]:
    """As a shell splits them. Raises ValueError."""
    if len(text) > LONGEST_COMMAND:
        raise ValueError(f"it has {len(text)} characters and may have {LONGEST_COMMAND}: put it into a file")
    return shlex.split(text)


def _mount(index: int, volume: dict[str, Any]) -> dict[str, Any]:
    mount: dict[str, Any] = {"name": f"volume-{index}", "mountPath": volume["path"]}
    return {**mount, "readOnly": True} if volume.get("read_only") else mount


def _number(value: Any) -> Any:
    """A whole number in a text as a number; anything else unchanged."""
    return int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,9}", value.strip()) else value
