"""A TFJob from a program's source and a few options, as `%%tfjob` gives them: the job and the program's ConfigMap."""

from collections.abc import Iterator
from typing import Any

from .names import API_VERSION, CANONICAL_TYPE, CONTAINER, JOB_LABEL, KIND, REPLICA_TYPES
from .validation import FieldError, TFJobInvalid, validate

PROGRAM_FOLDER = "/opt/kf-spawner/program"
PROGRAM_FILE = "main.py"
PROGRAM_LIMIT = 900_000  # bytes; a ConfigMap holds 1 MiB with all that is around it
HOME_MOUNT = "/home/jovyan"
HOME_GROUP = 100
GPU = "nvidia.com/gpu"
REQUIRED = ("name", "program", "image")
OPTIONAL = (
    "replicas",
    "env",
    "resources",
    "args",
    "restart_policy",
    "home_claim",
    "home_mount",
    "working_dir",
    "run_policy",
)
OPTIONS = frozenset(REQUIRED + OPTIONAL)
RESOURCES = ("cpu", "memory", "gpu")
MANAGED_BY = {"app.kubernetes.io/managed-by": "kf-spawner"}


def from_program(options: dict) -> list[dict]:
    """`[ConfigMap, TFJob]` for these options; the objects have no namespace yet.

    name, program (source text), image: required. replicas: count by type, as `{"chief": 1, "worker": 2}`, default
    one worker. env: name to text. resources of each replica: cpu and memory (Kubernetes quantities), gpu (count).
    args: texts after the program's name. restart_policy: default Never. home_claim: claim to mount at home_mount
    (default /home/jovyan), None for none. working_dir: default home_mount. run_policy: as in a TFJob; its
    cleanPodPolicy is Running unless given, so that a parameter server ends with the job.
    Raises TFJobInvalid, whose errors name the options.
    """
    errors = list(_option_errors(options))
    if errors:
        raise TFJobInvalid(errors)
    job = _job(options)
    errors = [FieldError(_option_of(error.field), error.message) for error in validate(job)]
    if errors:
        raise TFJobInvalid(list(dict.fromkeys(errors)))
    return [_config_map(options), job]


def owned_by(config_map: dict, job: dict) -> dict:
    """The ConfigMap, to be deleted with `job`, which the API server has given a uid."""
    meta = job["metadata"]
    owner = {"apiVersion": API_VERSION, "kind": KIND, "name": meta["name"], "uid": meta["uid"]}
    return {**config_map, "metadata": {**config_map["metadata"], "ownerReferences": [owner]}}


def config_map_name(job_name: str) -> str:
    return f"{job_name}-program"


def _option_errors(options: dict) -> Iterator[FieldError]:
    for key in sorted(options.keys() - OPTIONS):
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
    resources = _given(options, "resources", {})
    if not isinstance(resources, dict) or resources.keys() - set(RESOURCES):
        yield FieldError("resources", f"must map {', '.join(RESOURCES)} to amounts")
    if not isinstance(_given(options, "run_policy", {}), dict):
        yield FieldError("run_policy", "must be an object, as spec.runPolicy of a TFJob")


def _given(options: dict, name: str, default: Any) -> Any:
    """What was given, be it wrong; null and nothing are the same."""
    value = options.get(name)
    return default if value is None else value


def _replica_errors(replicas: Any) -> Iterator[FieldError]:
    if not isinstance(replicas, dict):
        yield FieldError("replicas", "must map replica types to counts")
        return
    for key in replicas:
        if str(key).lower() not in CANONICAL_TYPE:
            known = ", ".join(kind.lower() for kind in REPLICA_TYPES)
            yield FieldError(f"replicas.{key}", f"is not a replica type; use one of {known}")


def _option_of(field: str) -> str:
    """The option that a field of the manifest came from."""
    if field == "metadata.name":
        return "name"
    if field.startswith("spec.runPolicy"):
        return field.replace("spec.runPolicy", "run_policy", 1)
    if field.endswith(".image"):
        return "image"
    if field.endswith(".restartPolicy"):
        return "restart_policy"
    parts = field.split(".")
    if field.startswith("spec.tfReplicaSpecs"):
        return "replicas" if len(parts) < 3 else f"replicas.{parts[2].lower()}"
    return field


def _config_map(options: dict) -> dict:
    name = options["name"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": config_map_name(name), "labels": {JOB_LABEL: name, **MANAGED_BY}},
        "data": {PROGRAM_FILE: options["program"]},
    }


def _job(options: dict) -> dict:
    counts = options.get("replicas") or {"worker": 1}
    template = _template(options)
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
        "metadata": {"name": options.get("name"), "labels": dict(MANAGED_BY)},
        "spec": {
            "runPolicy": {"cleanPodPolicy": "Running", **(options.get("run_policy") or {})},
            "tfReplicaSpecs": specs,
        },
    }


def _template(options: dict) -> dict:
    home = options.get("home_mount") or HOME_MOUNT
    claim = options.get("home_claim")
    mounts = [{"name": "program", "mountPath": PROGRAM_FOLDER, "readOnly": True}]
    volumes: list[dict] = [{"name": "program", "configMap": {"name": config_map_name(str(options.get("name")))}}]
    spec: dict = {"automountServiceAccountToken": False, "enableServiceLinks": False}
    if claim:
        mounts.append({"name": "home", "mountPath": home})
        volumes.append({"name": "home", "persistentVolumeClaim": {"claimName": claim}})
        spec["securityContext"] = {"fsGroup": HOME_GROUP}
    env = {"HOME": home, **(options.get("env") or {})} if claim else dict(options.get("env") or {})
    container: dict = {
        "name": CONTAINER,
        "image": options.get("image"),
        "command": ["python", "-u", f"{PROGRAM_FOLDER}/{PROGRAM_FILE}", *(options.get("args") or [])],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "volumeMounts": mounts,
    }
    folder = options.get("working_dir") or (home if claim else None)
    if folder:
        container["workingDir"] = folder
    resources = _resources(options.get("resources") or {})
    if resources:
        container["resources"] = resources
    return {"spec": {**spec, "containers": [container], "volumes": volumes}}


def _resources(amounts: dict) -> dict:
    """CPU is asked for and may be exceeded; memory and GPUs are asked for and are the limit."""
    wanted = {name: str(amounts[name]) for name in ("cpu", "memory") if amounts.get(name)}
    limits = {"memory": wanted["memory"]} if "memory" in wanted else {}
    if amounts.get("gpu"):
        limits[GPU] = str(amounts["gpu"])
    return {key: value for key, value in (("requests", wanted), ("limits", limits)) if value}
