"""Decides which job owns a child: which children a job adopts, and which it releases. Pure.

As Kubernetes' own controllers do: a child without a controller is adopted by the job that its labels name, and one
whose labels no longer name its job is released. Names are fixed, so, as a StatefulSet, a job adopts only what could
be its replica by name, too.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

from kf_spawner.k8s import metadata

from .names import API_VERSION, CANONICAL_TYPE, JOB_LABEL, KIND, OPERATOR_LABEL, OPERATOR_NAME, child_name


class Adoption(NamedTuple):
    """A child to adopt or to release, as long as it still has this uid and resourceVersion."""

    kind: str
    name: str
    uid: str
    version: str


def adoptions(
    job: dict[str, Any],
    pods: Iterable[dict[str, Any]],
    services: Iterable[dict[str, Any]],
    *,
    but: Collection[str] = (),
) -> tuple[list[Adoption], list[Adoption]]:
    """The children to adopt and the children to release. Names in `but` are passed over."""
    adopt, release = [], []
    for kind, children in (("Pod", pods), ("Service", services)):
        for child in children:
            if child["metadata"]["name"] in but:
                continue
            if is_ours(child, job):
                if not is_labelled(child, job["metadata"]["name"]):
                    release.append(adoption(kind, child))
            elif is_orphan(child, job) and _could_be_replica(child, job):
                adopt.append(adoption(kind, child))
    return adopt, release


def is_ours(child: dict[str, Any], job: dict[str, Any]) -> bool:
    return bool(controller_of(child) == job["metadata"]["uid"])


def is_orphan(child: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether the job may adopt it. A child that is being deleted is not adopted."""
    meta = child["metadata"]
    return (
        is_labelled(child, job["metadata"]["name"])
        and controller_of(child) is None
        and not meta.get("deletionTimestamp")
    )


def is_estranged(child: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether the job controls it and its labels no longer name the job."""
    return is_ours(child, job) and not is_labelled(child, job["metadata"]["name"])


def is_labelled(child: dict[str, Any], job_name: str) -> bool:
    """Whether its labels are the ones by which a job of this name finds its children."""
    labels = child["metadata"].get("labels") or {}
    return labels.get(OPERATOR_LABEL) == OPERATOR_NAME and labels.get(JOB_LABEL) == job_name


def adoption(kind: str, child: dict[str, Any]) -> Adoption:
    meta = child["metadata"]
    return Adoption(kind, meta["name"], meta["uid"], meta["resourceVersion"])


def owner_reference(name: str, uid: str) -> dict[str, Any]:
    """The owner reference of a child to the job that controls it."""
    return metadata.owner_reference(api_version=API_VERSION, kind=KIND, name=name, uid=uid, controller=True)


def controller_of(child: dict[str, Any]) -> str | None:
    """The uid of its controller."""
    return next((owner["uid"] for owner in metadata.controllers(child)), None)


def jobs_of(child: dict[str, Any]) -> set[str]:
    """Names of the jobs that it may concern: by its labels and by its controller."""
    named = (child["metadata"].get("labels") or {}).get(JOB_LABEL)
    return {owner["name"] for owner in metadata.controllers(child)} | ({named} if named else set())


def digest(child: dict[str, Any]) -> tuple[str | None, str | None]:
    """All parts of it that a decision depends on."""
    return (child["metadata"].get("labels") or {}).get(JOB_LABEL), controller_of(child)


def _could_be_replica(child: dict[str, Any], job: dict[str, Any]) -> bool:
    """Whether some replica of the job, of whatever count, has this name."""
    name, job_name = child["metadata"]["name"], job["metadata"]["name"]
    kind, _, index = name.removeprefix(f"{job_name}-").rpartition("-")
    return kind in CANONICAL_TYPE and index.isdecimal() and child_name(job_name, kind, int(index)) == name
