"""Gang scheduling: a job's PodGroup, and what its pods say to belong to it. As the training operator 1.9 made them.

Two schedulers are known: Volcano, and the coscheduling plugin of scheduler-plugins under whatever name it runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kf_spawner.k8s import quantities

from . import ownership
from .defaults import JobSpec, run_policy_of
from .names import JOB_LABEL, OPERATOR_LABEL, OPERATOR_NAME
from .plan import Event, Reconciliation, Refusal
from .pods import Trouble, is_terminating

POD_GROUP = "PodGroup"
VOLCANO = "volcano"
VOLCANO_API = "scheduling.volcano.sh/v1beta1"
COSCHEDULING_API = "scheduling.x-k8s.io/v1alpha1"
VOLCANO_GROUP_ANNOTATION = "scheduling.k8s.io/group-name"
VOLCANO_TASK_ANNOTATION = "volcano.sh/task-spec"
COSCHEDULING_LABEL = "scheduling.x-k8s.io/pod-group"
DEFAULT_QUEUE = "default"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Gang:
    """The kind of gang scheduling; `scheduler` is the schedulerName of the pods."""

    scheduler: str

    @property
    def is_volcano(self) -> bool:
        return self.scheduler == VOLCANO

    @property
    def api_version(self) -> str:
        return VOLCANO_API if self.is_volcano else COSCHEDULING_API

    def add_pod(self, pod: dict[str, Any], *, job_name: str, task: str) -> None:
        """Makes a pod's manifest, in place, a member of its job's group. A scheduler of the user's own stays."""
        pod["spec"].setdefault("schedulerName", self.scheduler)
        metadata = pod["metadata"]
        if self.is_volcano:
            member = {VOLCANO_GROUP_ANNOTATION: job_name, VOLCANO_TASK_ANNOTATION: task}
            metadata["annotations"] = {**(metadata.get("annotations") or {}), **member}
        else:
            metadata["labels"] = {**metadata["labels"], COSCHEDULING_LABEL: job_name}

    def group(self, job: dict[str, Any], spec: JobSpec) -> dict[str, Any]:
        """The manifest of the job's group. `spec` is the job's own, read."""
        annotations = {
            name: text for name, text in (job["metadata"].get("annotations") or {}).items() if name != LAST_APPLIED
        }
        metadata = {
            "name": spec.name,
            "namespace": spec.namespace,
            "labels": {OPERATOR_LABEL: OPERATOR_NAME, JOB_LABEL: spec.name},
            "ownerReferences": [ownership.owner_reference(spec.name, spec.uid)],
        }
        if annotations:
            metadata["annotations"] = annotations
        fields = {name: value for name, value in self._fields(job, spec).items() if value is not None}
        return {"apiVersion": self.api_version, "kind": POD_GROUP, "metadata": metadata, "spec": fields}

    def corrected(self, group: dict[str, Any], job: dict[str, Any], spec: JobSpec) -> dict[str, Any] | None:
        """`group` as it should be; None if it already is. It keeps the queue that it was made with."""
        held = group.get("spec") or {}
        wanted = self._fields(job, spec)
        wanted.pop("queue", None)
        if all(_equal(held.get(name), value) for name, value in wanted.items()):
            return None
        fields = {name: value for name, value in {**held, **wanted}.items() if value is not None}
        return {**group, "apiVersion": self.api_version, "kind": POD_GROUP, "spec": fields}

    def admits(self, group: dict[str, Any]) -> bool:
        """Whether pods may be made. Volcano takes a group into its queue first; it lets pods in only after."""
        return not self.is_volcano or _phase(group) not in ("", "Pending")

    def _fields(self, job: dict[str, Any], spec: JobSpec) -> dict[str, Any]:
        """Each field of the group's spec that follows from the job; None: absent."""
        policy = run_policy_of(job).get("schedulingPolicy") or {}
        members = policy.get("minAvailable")
        members = spec.total if members is None else members
        common = {"minMember": members, "minResources": policy.get("minResources") or _resources_of(spec, members)}
        if self.is_volcano:
            return {
                **common,
                "queue": policy.get("queue") or DEFAULT_QUEUE,
                "priorityClassName": policy.get("priorityClass") or None,
            }
        return {**common, "scheduleTimeoutSeconds": policy.get("scheduleTimeoutSeconds")}


class GroupState(NamedTuple):
    """Whether pods may be made, and if not, why; `refused`: waiting will not help."""

    admits: bool
    trouble: Trouble | None = None
    refused: bool = False


def keep_group(
    reconciliation: Reconciliation, spec: JobSpec, gang: Gang, refusals: Mapping[str, Refusal]
) -> GroupState:
    """Adds the group to the reconciliation, to make or to correct it, and returns its state."""
    held = reconciliation.pod_groups.get(spec.name)
    if held is None:
        refusal = refusals.get(spec.name)
        reconciliation.make(lambda: [gang.group(reconciliation.job, spec)], refused=0 if refusal else None)
        if refusal:
            message = f"PodGroup {spec.name} cannot be created: {refusal.message}"
            return GroupState(False, Trouble("TFJobCreateRefused", message), refusal.final)
        if any(_scheduler_of(replica.template) not in ("", gang.scheduler) for replica in spec.replicas):
            message = "Another scheduler is specified when gang-scheduling is enabled and it will not be overwritten"
            reconciliation.events.append(Event("Warning", "SetPodTemplateSchedulerName", message))
        return GroupState(False)
    if is_terminating(held):
        return GroupState(False)
    corrected = gang.corrected(held, reconciliation.job, spec)
    if corrected is not None:
        reconciliation.replace.append(corrected)
    return GroupState(gang.admits(held), _trouble_of(held))


def digest(group: dict[str, Any]) -> tuple[Any, ...]:
    """All parts of it that a decision depends on."""
    meta = group["metadata"]
    whose = ownership.digest(group)  # one that was adopted is to be corrected
    return meta["uid"], whose, is_terminating(group), _phase(group), _trouble_of(group), group.get("spec")


def _phase(group: dict[str, Any]) -> str:
    return (group.get("status") or {}).get("phase") or ""


def _trouble_of(group: dict[str, Any]) -> Trouble | None:
    """Why the group's pods cannot be scheduled, where Volcano says so."""
    if _phase(group) != "Pending":
        return None
    for condition in (group.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Unschedulable" and condition.get("status") == "True":
            message = (condition.get("message") or "not enough resources").rstrip(" .")
            return Trouble(
                "TFJobUnschedulable",
                f"PodGroup {group['metadata']['name']} cannot be scheduled: {message}. "
                "Ask for less, or free what other pods hold.",
            )
    return None


def _resources_of(spec: JobSpec, members: int) -> dict[str, str]:
    """What the first `members` replicas ask for, in the order of replica types: requests, or limits without any."""
    asked: dict[str, list[tuple[object, int]]] = {}
    for replica in spec.replicas:
        count = min(replica.count, members)
        members -= count
        for container in replica.template["spec"]["containers"]:
            resources = container.get("resources") or {}
            for name, quantity in (resources.get("requests") or resources.get("limits") or {}).items():
                asked.setdefault(name, []).append((quantity, count))
    sums = {name: quantities.total(terms) for name, terms in asked.items()}
    return {name: text for name, text in sums.items() if text}


def _scheduler_of(template: dict[str, Any]) -> str:
    return template["spec"].get("schedulerName") or ""


def _equal(held: object, wanted: object) -> bool:
    """Also where the API server or a scheduler has written a quantity in another way."""
    if isinstance(held, dict) and isinstance(wanted, dict):
        return held.keys() == wanted.keys() and all(quantities.is_same(held[name], wanted[name]) for name in held)
    return held == wanted or (not held and not wanted)
