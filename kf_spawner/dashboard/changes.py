"""Changes to an existing job: whether it is suspended, and how many replicas it has. Pure."""

from typing import Any

from kf_spawner.tfjob.names import CANONICAL_TYPE
from kf_spawner.tfjob.validation import validate
from kf_spawner.workloads.errors import RequestError
from kf_spawner.wrong_input import FieldError

from .job_detail import has_ended, scalable


def patch_of(job: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any] | None:
    """The merge patch for `{"suspend"?: bool, "replicas"?: {type: number}}`; None if nothing changes.

    It applies to this job only, not to another of its name. Raises RequestError.
    """
    unknown = sorted(changes.keys() - {"suspend", "replicas"})
    if unknown or not changes:
        message = 'send {"suspend": true or false} or {"replicas": {"Worker": 3}}'
        raise RequestError(400, "BadRequest", message, field=unknown[0] if unknown else "body")
    if has_ended(job):
        name = job["metadata"]["name"]
        raise RequestError(409, "Ended", f"the TFJob {name!r} has ended and cannot be changed")
    spec: dict[str, Any] = {}
    if "suspend" in changes:
        if not isinstance(changes["suspend"], bool):
            raise RequestError(400, "BadRequest", "must be true or false", field="suspend")
        spec["runPolicy"] = {"suspend": changes["suspend"]}
    if "replicas" in changes:
        spec["tfReplicaSpecs"] = _counts(job, changes["replicas"])
    patch = {"metadata": {"uid": job["metadata"]["uid"]}, "spec": spec}
    return patch if _changes(job["spec"], spec) else None


def _counts(job: dict[str, Any], wanted: object) -> dict[str, Any]:
    if not isinstance(wanted, dict) or not wanted:
        raise RequestError(400, "BadRequest", 'must map replica types to numbers, as {"Worker": 3}', field="replicas")
    known = {CANONICAL_TYPE[kind.lower()]: kind for kind in scalable(job)}
    counts = {}
    for kind, count in wanted.items():
        spelt = known.get(CANONICAL_TYPE.get(kind.lower(), ""))
        if spelt is None:
            there = f"there are: {', '.join(known)}" if known else "there is none"
            message = f"the job has no {kind} whose number can be changed; {there}"
            raise RequestError(422, "Invalid", message, field=f"replicas.{kind}")
        if spelt in counts:
            raise RequestError(400, "BadRequest", f"{spelt} appears twice", field=f"replicas.{kind}")
        counts[spelt] = {"replicas": count}
        _check(job, spelt, count, field=f"replicas.{kind}")
    return counts


def _check(job: dict[str, Any], kind: str, count: object, *, field: str) -> None:
    """Checks that the job is valid with so many replicas."""
    specs = job["spec"]["tfReplicaSpecs"]
    scaled = {**job["spec"], "tfReplicaSpecs": {**specs, kind: {**specs[kind], "replicas": count}}}
    before = validate(job)
    if count is None:
        raise RequestError(400, "BadRequest", "must be a whole number", field=field)
    for error in validate({**job, "spec": scaled}):
        if error not in before:
            raise RequestError(422, "Invalid", error.message, field=field, errors=[FieldError(field, error.message)])


def _changes(spec: dict[str, Any], patch: dict[str, Any]) -> bool:
    """Whether a merge of `patch` would change anything of `spec`."""
    for key, value in patch.items():
        now = spec.get(key)
        if isinstance(value, dict):
            if _changes(now if isinstance(now, dict) else {}, value):
                return True
        elif now != value:
            return True
    return False
