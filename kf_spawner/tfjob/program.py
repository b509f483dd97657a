"""A TFJob from a program's source and a few options, as `%%tfjob` gives them: the job and the program's ConfigMap."""

from collections.abc import Iterator, Mapping
from typing import Any

from kf_spawner.field_table import FieldTable
from kf_spawner.k8s.metadata import MANAGED_BY
from kf_spawner.k8s.names import HOME_GROUP, HOME_MOUNT
from kf_spawner.wrong_input import MOST, FieldError

from . import resources
from .draft import Draft, checked
from .names import API_VERSION, CANONICAL_TYPE, CONTAINER, JOB_LABEL, KIND, REPLICA_TYPES

PROGRAM_FOLDER = "/opt/kf-spawner/program"
PROGRAM_FILE = "main.py"
PROGRAM_LIMIT = 900_000  # bytes; a ConfigMap holds 1 MiB with all that is around it
COMMAND = ("python", "-u", f"{PROGRAM_FOLDER}/{PROGRAM_FILE}")
MANAGED = {MANAGED_BY: "kf-spawner"}

_REPLICA = "spec.tfReplicaSpecs.{type}"
_POD = f"{_REPLICA}.template.spec"
_CONTAINER = f"{_POD}.containers[0]"
PATHS = (
    ("name", "metadata.name"),
    ("program", "data"),
    ("image", f"{_CONTAINER}.image"),
    ("replicas", "spec.tfReplicaSpecs"),
    ("restart_policy", f"{_REPLICA}.restartPolicy"),
    ("env", f"{_CONTAINER}.env"),
    ("resources", f"{_CONTAINER}.resources"),
    *((f"resources.{name}", f"{_CONTAINER}.{path}") for name, path in resources.PATHS),
    ("args", f"{_CONTAINER}.command"),
    ("home_claim", f"{_POD}.volumes[1]"),
    ("home_mount", f"{_CONTAINER}.volumeMounts[1]"),
    ("working_dir", f"{_CONTAINER}.workingDir"),
    ("run_policy.*", "spec.runPolicy.*"),
)
"""Every option and the paths of the TFJob that it becomes (`program`: of the ConfigMap), as in a `FieldTable`.

`_fields` adds `replicas.worker` and its like for the types that were asked for.
"""
OPTIONS = tuple(dict.fromkeys(field.removesuffix(".*").partition(".")[0] for field, _ in PATHS))


def from_program(options: Mapping[str, Any], *, unique: str = "") -> Draft:
    """The TFJob and the ConfigMap for these options; the objects have no namespace yet. Errors name the options.

    name, program (source text), image: required. replicas: count by type, as `{"chief": 1, "worker": 2}`, default
    one worker. env: name to text. resources of each replica: cpu and memory (Kubernetes quantities), gpu (count).
    args: texts after the program's name. restart_policy: default Never. home_claim: claim to mount at home_mount
    (default /home/jovyan), None for none. working_dir: default home_mount. run_policy: as in a TFJob; its
    cleanPodPolicy is Running unless given, so that a parameter server ends with the job.

    `unique` ends the ConfigMap's name: one of an earlier job of this name may still be there, as Kubernetes deletes
    it some time after the job.
    """
    errors = list(_option_errors(options))
    sound = _without(options, {error.field for error in errors})
    counts = _counts(sound)
    fields = _fields(counts)
    config_map = _config_map(sound, "-".join(filter(None, (f"{sound.get('name')}-program", unique))))
    job = _job(sound, counts, config_map["metadata"]["name"])
    return checked(job, config_map=config_map, fields=fields, errors=fields.in_order(errors[:MOST]))


def _without(options: Mapping[str, Any], wrong: set[str]) -> dict[str, Any]:
    """The options but for those, and those entries of a map, that are wrong."""
    return {
        name: {key: one for key, one in value.items() if f"{name}.{key}" not in wrong}
        if isinstance(value, dict)
        else value
        for name, value in options.items()
        if name not in wrong
    }


def _option_errors(options: Mapping[str, Any]) -> Iterator[FieldError]:
    for key in sorted(options.keys() - set(OPTIONS)):
        yield FieldError(key, f"is not an option; use {', '.join(sorted(OPTIONS))}")
    program = options.get("program")
    if not isinstance(program, str) or not program.strip():
        yield FieldError("program", "is empty; give the source of the program to run")
    elif len(program.encode()) > PROGRAM_LIMIT:
        yield FieldError(
            "program",
            f"has {len(program.encode())} bytes, more than {PROGRAM_LIMIT}; move data and code to the home volume",
        )
    yield from _replica_errors(_given(options, "replicas", {}))
    env = _given(options, "env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        yield FieldError("env", "must map names to texts")
    args = _given(options, "args", [])
    if not isinstance(args, list) or not all(isinstance(value, str) for value in args):
        yield FieldError("args", "must be a list of texts")
    amounts = _given(options, "resources", {})
    if not isinstance(amounts, dict) or amounts.keys() - set(resources.NAMES):
        yield FieldError("resources", f"must map {', '.join(resources.NAMES)} to amounts")
    else:
        yield from resources.errors(amounts, prefix="resources.")
    if not isinstance(_given(options, "run_policy", {}), dict):
        yield FieldError("run_policy", "must be an object, as spec.runPolicy of a TFJob")
    for name in ("home_claim", "home_mount", "working_dir"):
        if not isinstance(options.get(name), str | None):
            yield FieldError(name, f"is {options[name]!r}; it must be a text")


def _given(options: Mapping[str, Any], name: str, default: Any) -> Any:
    """What was given, even if it is wrong; null counts as not given."""
    value = options.get(name)
    return default if value is None else value


def _replica_errors(replicas: Any) -> Iterator[FieldError]:
    if not isinstance(replicas, dict):
        yield FieldError("replicas", "must map replica types to counts")
        return
    seen: dict[str, str] = {}
    for key in replicas:
        kind = CANONICAL_TYPE.get(key.lower())
        if kind is None:
            known = ", ".join(kind.lower() for kind in REPLICA_TYPES)
            yield FieldError(f"replicas.{key}", f"is not a replica type; use one of {known}")
        elif kind in seen:
            yield FieldError(f"replicas.{key}", f"is the same type as {seen[kind]}; keep one of the two")
        else:
            seen[kind] = key


def _counts(options: Mapping[str, Any]) -> dict[str, Any]:
    """The number of replicas by type, in the user's spelling."""
    return options.get("replicas") or {"worker": 1}


def _fields(counts: Mapping[str, Any]) -> FieldTable:
    """PATHS, with the replica types that were asked for."""
    types = [(f"replicas.{key}", f"spec.tfReplicaSpecs.{CANONICAL_TYPE[key.lower()]}") for key in counts]
    start = next(number for number, (field, _) in enumerate(PATHS) if field == "replicas") + 1
    return FieldTable([*PATHS[:start], *types, *PATHS[start:]])


def _config_map(options: Mapping[str, Any], name: str) -> dict[str, Any]:
    labels = {JOB_LABEL: str(options.get("name")), **MANAGED}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": labels},
        "data": {PROGRAM_FILE: options.get("program")},
    }


def _job(options: Mapping[str, Any], counts: Mapping[str, Any], config_map: str) -> dict[str, Any]:
    template = _template(options, config_map)
    specs = {
        CANONICAL_TYPE[kind.lower()]: {
            "replicas": count,
            "restartPolicy": options.get("restart_policy") or "Never",
            "template": template,
        }
        for kind, count in counts.items()
        if count != 0
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": options.get("name"), "labels": dict(MANAGED)},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running", **(options.get("run_policy") or {})},
            "tfReplicaSpecs": specs,
        },
    }


def _template(options: Mapping[str, Any], config_map: str) -> dict[str, Any]:
    home = options.get("home_mount") or HOME_MOUNT
    claim = options.get("home_claim")
    mounts = [{"name": "program", "mountPath": PROGRAM_FOLDER, "readOnly": True}]
    volumes: list[dict[str, Any]] = [{"name": "program", "configMap": {"name": config_map}}]
    spec: dict[str, Any] = {"automountServiceAccountToken": False, "enableServiceLinks": False}
    if claim:
        mounts.append({"name": "home", "mountPath": home})
        volumes.append({"name": "home", "persistentVolumeClaim": {"claimName": claim}})
        spec["securityContext"] = {"fsGroup": HOME_GROUP}
    env = {"HOME": home, **(options.get("env") or {})} if claim else dict(options.get("env") or {})
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": options.get("image"),
        "command": [*COMMAND, *(options.get("args") or [])],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "volumeMounts": mounts,
    }
    folder = options.get("working_dir") or (home if claim else None)
    if folder:
        container["workingDir"] = folder
    amounts = resources.requirements(options.get("resources") or {})
    if amounts:
        container["resources"] = amounts
    return {"spec": {**spec, "containers": [container], "volumes": volumes}}
