"""What the operator knows of jobs and their children: what the informers saw, and what it wrote itself since.

An informer runs behind. What we wrote stays in view until the informer has caught up, so no decision is made on a
world from before our own last act.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kf_spawner.tfjob.ownership import jobs_of

from .trim import trim_pod, trim_service

POD, SERVICE, CLAIM, POD_GROUP = "Pod", "Service", "PersistentVolumeClaim", "PodGroup"
TRIM = {POD: trim_pod, SERVICE: trim_service}


@dataclass
class JobChildren:
    """A job and its children by name. Objects are shared with the informers: read-only."""

    job: dict[str, Any] | None = None
    pods: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    services: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])
    pod_groups: dict[str, dict[str, Any]] = field(default_factory=dict[str, Any])

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        return {POD: self.pods, SERVICE: self.services, POD_GROUP: self.pod_groups}[kind]

    @property
    def is_empty(self) -> bool:
        return self.job is None and not self.pods and not self.services and not self.pod_groups


class View:
    """Jobs and their children by job key, `namespace/name`."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobChildren] = {}

    def __len__(self) -> int:
        return sum(entry.job is not None for entry in self._jobs.values())

    def of_job(self, key: str) -> JobChildren:
        return self._jobs.get(key) or JobChildren()

    def keys(self) -> Iterator[str]:
        return iter([key for key, entry in self._jobs.items() if entry.job is not None])

    def see_job(self, key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> bool:
        """Takes over what the informer saw; whether it was news."""
        entry = self._jobs.setdefault(key, JobChildren())
        entry.job, news = _newer(entry.job, old, new)
        self._drop_if_empty(key)
        return news

    def wrote_job(self, key: str, job: dict[str, Any]) -> None:
        """Takes over the API server's answer to a write, unless the job is gone or was seen newer since."""
        entry = self._jobs.get(key)
        if entry is not None and entry.job is not None:
            entry.job, _ = _newer(entry.job, entry.job, job)

    def see_child(self, kind: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> set[str]:
        """Takes over what the informer saw of a pod or service; the keys of all jobs that it concerns."""
        name = (new or old or {})["metadata"]["name"]
        before, after = _keys(old), _keys(new)
        for key in before | after:
            self._put(key, kind, name, old, new if key in after else None)
        return before | after

    def wrote_child(self, key: str, kind: str, child: dict[str, Any]) -> None:
        """Takes over a child that we made, or found that we had made."""
        self._put(key, kind, child["metadata"]["name"], None, TRIM.get(kind, dict)(child))

    def holds(self, key: str, kind: str, child: dict[str, Any]) -> bool:
        meta = child["metadata"]
        held = self.of_job(key).of(kind).get(meta["name"])
        return held is not None and held["metadata"]["uid"] == meta["uid"]

    def deleting_child(self, key: str, kind: str, name: str, uid: str, end: dict[str, Any]) -> None:
        """A child whose deletion the API server took: terminating, until the informer says that it is gone.

        `end`: its metadata's deletionTimestamp and deletionGracePeriodSeconds.
        """
        children = self.of_job(key).of(kind)
        child = children.get(name)
        if child is not None and child["metadata"]["uid"] == uid:
            children[name] = {**child, "metadata": {**child["metadata"], **end}}

    def lost_child(self, key: str, kind: str, child: dict[str, Any]) -> None:
        """A child that is gone, or not the job's any more, ahead of the informer."""
        self._put(key, kind, child["metadata"]["name"], child, None)

    def _put(self, key: str, kind: str, name: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        children = self._jobs.setdefault(key, JobChildren()).of(kind)
        kept, _ = _newer(children.get(name), old, new)
        if kept is None:
            children.pop(name, None)
        else:
            children[name] = kept
        self._drop_if_empty(key)

    def _drop_if_empty(self, key: str) -> None:
        if self._jobs[key].is_empty:
            del self._jobs[key]


def _keys(child: dict[str, Any] | None) -> set[str]:
    """Of the jobs that a child concerns."""
    return {f"{child['metadata']['namespace']}/{name}" for name in jobs_of(child)} if child else set()


def _newer(
    held: dict[str, Any] | None, old: dict[str, Any] | None, new: dict[str, Any] | None
) -> tuple[dict[str, Any] | None, bool]:
    """What to hold after the change from `old` to `new`, and whether it is news."""
    if held is None:
        return new, new is not None
    if new is None:
        # The object was deleted, but a later one of the same name may be held already.
        gone = old is None or old["metadata"]["uid"] == held["metadata"]["uid"]
        return (None, True) if gone else (held, False)
    if new["metadata"]["uid"] == held["metadata"]["uid"] and version_of(new) <= version_of(held):
        # The state has not changed. Holding the informer's object keeps it in memory only once.
        return (new if _same_state(held, new) else held), False
    return new, True


def _same_state(held: dict[str, Any], new: dict[str, Any]) -> bool:
    """False for what we hold as being deleted while the informer does not know yet."""
    marks = [obj["metadata"].get("deletionTimestamp") is None for obj in (held, new)]
    return version_of(held) == version_of(new) and marks[0] == marks[1]


def version_of(obj: dict[str, Any]) -> int:
    """A resourceVersion as a number: the API server promises that those of one resource compare so."""
    return int(obj["metadata"]["resourceVersion"])
