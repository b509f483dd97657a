"""A plan and its parts, and a reconciliation, which makes a plan and ends and cleans up a job."""

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from kf_spawner.k8s import conditions, times

from . import pods as pod_status
from .defaults import CLEAN_ALL, CLEAN_NONE, CLEAN_PS, read_run_policy
from .names import CANONICAL_TYPE, KIND, PS, TYPE_LABEL
from .ownership import Adoption, is_ours
from .status import (
    CREATED,
    FAILED,
    SUCCEEDED,
    reason_of,
    set_condition,
)

LOOK_AT_NODE_EVERY = 10.0  # seconds
SLICE = 16
"""Replicas that one plan makes, and children that it deletes, at most. A large job goes on in further plans, so that
other jobs get their turn in between, and not all of its manifests are in memory at once."""


T = TypeVar("T")
Making = Callable[[], list[dict[str, Any]]]
"""Makes the manifests of some children."""


def first(whole: Sequence[T]) -> tuple[T, ...]:
    """As much of `whole` as one plan does."""
    return tuple(whole[:SLICE])


class Event(NamedTuple):
    """An Event to write about the job."""

    type: str
    reason: str
    message: str


class Child(NamedTuple):
    """A pod or a service to delete, if it still has this uid; `force`: without waiting for its node."""

    kind: str
    name: str
    uid: str
    force: bool = False


class Refusal(NamedTuple):
    """The API server's message when it refused to create a child; `final`: it will never accept this one."""

    message: str
    final: bool = False


@dataclass(frozen=True)
class Plan:
    """What to do, in this order: `status` (the whole new status; None: as it was), then the rest.

    `adopt`, `release`: whose children are the job's comes first. A plan that has any of it has nothing else, and is
    followed by another one.
    A deletion may only follow once the status is written: the status is what remembers why the pod went.
    `replace`: objects as they are to be, with the resourceVersion of what they take the place of.
    `counted` names counters to raise with the status: created, successful, failed, restarted.
    `requeue_after` is in seconds from `now`; None: nothing to do until something changes.
    `is_partial`: there is, or may be, more to do than this plan has.
    """

    adopt: tuple[Adoption, ...] = ()
    release: tuple[Adoption, ...] = ()
    status: dict[str, Any] | None = None
    create: tuple[dict[str, Any], ...] = ()
    replace: tuple[dict[str, Any], ...] = ()
    delete: tuple[Child, ...] = ()
    events: tuple[Event, ...] = ()
    counted: tuple[str, ...] = ()
    requeue_after: float | None = None
    delete_job: bool = False
    is_partial: bool = False

    @property
    def names(self) -> set[str]:
        """The children that it makes, adopts or releases."""
        made = {manifest["metadata"]["name"] for manifest in self.create}
        return made | {adoption.name for adoption in (*self.adopt, *self.release)}


class Reconciliation:
    """Makes a plan from a job and its children."""

    def __init__(
        self,
        job: dict[str, Any],
        pods: list[dict[str, Any]],
        services: list[dict[str, Any]],
        now: datetime,
        *,
        lost_nodes: Collection[str] = (),
        pod_groups: Collection[dict[str, Any]] = (),
    ):
        self.job, self.now, self._lost_nodes = job, now, lost_nodes
        self.name, self.namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        self.before: dict[str, Any] = job.get("status") or {}
        self.status: dict[str, Any] = copy.deepcopy(self.before)
        self.pods = {pod["metadata"]["name"]: pod for pod in pods if is_ours(pod, job)}
        self.services = {item["metadata"]["name"]: item for item in services if is_ours(item, job)}
        self.pod_groups = {item["metadata"]["name"]: item for item in pod_groups if is_ours(item, job)}
        self._fresh: list[Making] = []
        self._refused: list[tuple[int, Making]] = []
        self.replace: list[dict[str, Any]] = []
        self.delete: dict[str, Child] = {}
        self.events: list[Event] = []
        self.counted: list[str] = []
        self.wake: list[float] = []
        self.delete_job = False

    def make(self, making: Making, *, refused: int | None = None) -> None:
        """Plans children that `making` will return.

        `refused`: the API server refused one of them before; those with the lowest numbers are tried next.
        """
        if refused is None:
            self._fresh.append(making)
        else:
            self._refused.append((refused, making))

    def note_created(self) -> None:
        message = f"{KIND} {self.name} is created."
        if not conditions.find(self.status, CREATED):
            set_condition(self.status, CREATED, message=message, now=self.now)
            self.counted.append("created")

    def fail(self, because: str) -> None:
        self.finish(FAILED, f"{KIND} {self.namespace}/{self.name} has failed because {because}", "failed")

    def stop(self, message: str) -> None:
        """Fails the job at a limit. Pods that still run are deleted, whatever the clean-up policy keeps."""
        self.status["stopped"] = True
        self.finish(FAILED, message, "failed")

    def finish(self, condition: str, message: str, counter: str) -> None:
        if set_condition(self.status, condition, message=message, now=self.now):
            self.status.setdefault("completionTime", times.text(self.now))
            kind = "Warning" if condition == FAILED else "Normal"
            self.events.append(Event(kind, reason_of(condition), message))
            self.counted.append(counter)

    def remove(self, kind: str, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        lost = kind == "Pod" and self.is_lost(obj)
        if lost or not pod_status.is_terminating(obj):
            self.delete[f"{kind}/{meta['name']}"] = Child(kind, meta["name"], meta["uid"], lost)
        elif kind == "Pod":
            self.await_end(obj)

    def is_lost(self, pod: dict[str, Any]) -> bool:
        """Whether this pod's node is lost, so that it cannot report the pod's end."""
        return (
            pod_status.is_terminating(pod)
            and pod["metadata"].get("deletionGracePeriodSeconds") != 0  # by force already, or held by a finalizer
            and pod_status.node_of(pod) in self._lost_nodes
            and pod_status.ends_in(pod, self.now) <= 0
        )

    def await_end(self, pod: dict[str, Any]) -> None:
        """Reconciles again once a terminating pod is late: its node may be lost."""
        if pod_status.node_of(pod):
            left = pod_status.ends_in(pod, self.now)
            self.wake.append(left if left > 0 else LOOK_AT_NODE_EVERY)

    def remove_all(self) -> None:
        self.remove_pod_groups()
        self.remove_children()

    def remove_children(self) -> None:
        for pod in self.pods.values():
            self.remove("Pod", pod)
        for service in self.services.values():
            self.remove("Service", service)

    def remove_pod_groups(self) -> None:
        for group in self.pod_groups.values():
            if not pod_status.is_terminating(group):
                message = "Job has been terminated. Deleting PodGroup"
                self.events.append(Event("Normal", "JobTerminated", message))
            self.remove("PodGroup", group)

    def clean_up(self) -> None:
        """Deletes what a finished job does not keep, by its policies."""
        self._fresh, self._refused, self.replace, self.delete = [], [], [], {}
        policy = read_run_policy(self.job)
        self.remove_pod_groups()
        if policy.clean_pods == CLEAN_ALL:
            self.remove_children()
        elif policy.clean_pods != CLEAN_NONE or self.status.get("stopped"):
            self._remove_running(only="" if self.status.get("stopped") or policy.clean_pods != CLEAN_PS else PS)
        self._settle_counts()
        self._expire(policy.ttl)

    def _remove_running(self, *, only: str) -> None:
        """Deletes the pods that have not ended by themselves; with `only`, those of that replica type."""
        ended = {name for name, pod in self.pods.items() if pod_status.phase(pod) in ("Succeeded", "Failed")}
        for kind, children in (("Pod", self.pods), ("Service", self.services)):
            for name, child in children.items():
                if name not in ended and only in ("", _type_of(child)):
                    self.remove(kind, child)

    def _settle_counts(self) -> None:
        """After success what was active counts as succeeded; after failure only what is still there is active."""
        for kind, counts in (self.status.get("replicaStatuses") or {}).items():
            if conditions.is_true(self.status, SUCCEEDED):
                counts["succeeded"] = counts.get("succeeded", 0) + counts.get("active", 0)
                counts["active"] = 0
            else:
                counts["active"] = sum(
                    pod_status.phase(pod) == "Running" and _type_of(pod) == kind for pod in self.pods.values()
                )

    def _expire(self, ttl: int | None) -> None:
        if ttl is None:
            return
        # A job from another operator may have ended without a completion time.
        ended = times.parse(self.status.setdefault("completionTime", times.text(self.now)))
        left = (ended + timedelta(seconds=ttl) - self.now).total_seconds()
        if left <= 0:
            self.delete_job = True
        else:
            self.wake.append(left)

    def plan(self) -> Plan:
        changed = self.status != self.before
        if changed:
            self.status["lastReconcileTime"] = times.text(self.now)
        refused = [making for _, making in sorted(self._refused, key=lambda entry: entry[0])]
        return Plan(
            status=self.status if changed else None,
            # What was refused is tried again beside the rest, which it must not hold up.
            create=tuple(child for making in (*first(refused), *first(self._fresh)) for child in making()),
            replace=tuple(self.replace),
            delete=first(list(self.delete.values())),
            events=tuple(self.events),
            counted=tuple(self.counted),
            requeue_after=min(self.wake, default=None),
            delete_job=self.delete_job,
            is_partial=max(len(self._fresh), len(refused), len(self.delete)) > SLICE,
        )


def _type_of(child: dict[str, Any]) -> str | None:
    return CANONICAL_TYPE.get((child["metadata"].get("labels") or {}).get(TYPE_LABEL, ""))
