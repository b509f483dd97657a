"""Decides the next step for a job: job, pods and services -> a plan. May not act.

Level-based: the same objects give the same plan, whatever happened before.
"""

import functools
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from kf_spawner.k8s import conditions, times

from .children import Children
from .defaults import ALL_WORKERS, JobSpec, read_run_policy, read_spec
from .names import EVALUATOR, KIND, MULTIKUEUE, WORKER, child_name
from .ownership import adoptions
from .plan import Event, Plan, Reconciliation, Refusal, first
from .podgroup import Gang, keep_group
from .replicas import Replicas
from .status import (
    CREATED,
    RESTARTING,
    RUNNING,
    SUCCEEDED,
    SUSPENDED,
    amend_created,
    is_finished,
    reason_of,
    set_condition,
)
from .validation import validate


def decide(
    job: dict[str, Any],
    pods: list[dict[str, Any]],
    services: list[dict[str, Any]],
    *,
    now: datetime,
    cluster_domain: str = "",
    refusals: Mapping[str, Refusal] | None = None,
    lost_nodes: Collection[str] = (),
    gang: Gang | None = None,
    pod_groups: Collection[dict[str, Any]] = (),
    claim_classes: Collection[str] = (),
) -> Plan:
    """The plan for `job`. The job adopts pods and services with its labels that have no controller, and releases its
    own that have other labels. It ignores all others that it does not control.

    `now` is an aware UTC time; `refusals` maps names of children that the API server refused to its answer, first
    those that were tried longest ago: the job waits, or fails if the answer is final. `lost_nodes`: those of
    `late_nodes` that are gone or not ready. With `gang` the job gets a PodGroup, which its pods wait for.
    `claim_classes`: the storage classes that volumeClaimTemplates of a new job may name. The job may be invalid in
    any way: it then ends Failed, with a message that names the fields.
    """
    spec = job.get("spec")
    managed = isinstance(spec, dict) and read_run_policy(job).managed_by == MULTIKUEUE
    if job["metadata"].get("deletionTimestamp") or managed:
        return Plan()
    refusals = refusals or {}
    adopt, release = adoptions(job, pods, services, but=refusals)
    if adopt or release:
        return Plan(adopt=first(adopt), release=first(release), is_partial=True)
    reconciliation = Reconciliation(job, pods, services, now, lost_nodes=lost_nodes, pod_groups=pod_groups)
    if not is_finished(reconciliation.status):
        errors = validate(
            job, claim_classes=claim_classes, is_new=not conditions.find(reconciliation.status, CREATED)
        )
        if errors:
            reconciliation.note_created()
            reconciliation.fail("it is not valid: " + "; ".join(str(error) for error in errors))
        else:
            _Advance(reconciliation, read_spec(job), cluster_domain, refusals, gang).run()
    if is_finished(reconciliation.status):
        reconciliation.clean_up()
    return reconciliation.plan()


class _Advance:
    """One reconciliation of a valid job that has not ended."""

    def __init__(
        self,
        reconciliation: Reconciliation,
        spec: JobSpec,
        cluster_domain: str,
        refusals: Mapping[str, Refusal],
        gang: Gang | None,
    ):
        self.reconciliation, self.spec, self.refusals, self.gang = reconciliation, spec, refusals, gang
        children = Children(spec, cluster_domain=cluster_domain, gang=gang)
        self.replicas = Replicas(reconciliation, spec, children, refusals)

    def run(self) -> None:
        reconciliation, policy = self.reconciliation, self.spec.run_policy
        reconciliation.note_created()
        if policy.suspend:
            self._suspend()
            return
        if conditions.is_true(reconciliation.status, SUSPENDED):
            self._resume()
        reconciliation.status.setdefault("startTime", times.text(reconciliation.now))
        if self.gang:
            self.replicas.hold(keep_group(reconciliation, self.spec, self.gang, self.refusals))
        self.replicas.look()
        self._remember()
        if not (self._end() or self._pass_limits()):
            self._remove_surplus()
            self._tell()

    def _suspend(self) -> None:
        reconciliation = self.reconciliation
        message = f"{KIND} {reconciliation.name} is suspended."
        dropped = _dropped(reconciliation.name, reconciliation.pods.values())
        reconciliation.remove_all()
        reconciliation.status.pop("started", None)
        reconciliation.status["replicaStatuses"] = self.replicas.counts
        if conditions.is_true(reconciliation.status, SUSPENDED):
            dropped = {**(reconciliation.status.get("tasks") or {}), **dropped}
        self._set_tasks(dropped)
        if conditions.is_true(reconciliation.status, RUNNING):
            set_condition(
                reconciliation.status,
                RUNNING,
                value=False,
                reason=reason_of(SUSPENDED),
                message=message,
                now=reconciliation.now,
            )
        if set_condition(reconciliation.status, SUSPENDED, message=message, now=reconciliation.now):
            reconciliation.events.append(Event("Normal", reason_of(SUSPENDED), message))

    def _resume(self) -> None:
        reconciliation = self.reconciliation
        message = f"{KIND} {reconciliation.name} is resumed."
        reconciliation.status["startTime"] = times.text(reconciliation.now)
        set_condition(
            reconciliation.status,
            SUSPENDED,
            value=False,
            reason="TFJobResumed",
            message=message,
            now=reconciliation.now,
        )
        reconciliation.events.append(Event("Normal", "TFJobResumed", message))

    def _remember(self) -> None:
        reconciliation, replicas = self.reconciliation, self.replicas
        reconciliation.status["replicaStatuses"] = replicas.counts
        if self.spec.run_policy.start_deadline is not None and not replicas.unstarted:
            reconciliation.status["started"] = True
            for memory in replicas.tasks.values():
                memory.pop("started", None)
        self._set_tasks({**_dropped(reconciliation.name, self._surplus(reconciliation.pods)), **replicas.tasks})

    def _set_tasks(self, tasks: dict[str, dict[str, Any]]) -> None:
        self.reconciliation.status["tasks"] = {name: memory for name, memory in tasks.items() if memory}
        if not self.reconciliation.status["tasks"]:
            del self.reconciliation.status["tasks"]

    def _end(self) -> bool:
        reconciliation, spec, replicas = self.reconciliation, self.spec, self.replicas
        if self._is_successful():
            if self._waits_for_evaluator():
                return False  # a later failure does not undo the success
            message = f"{KIND} {spec.namespace}/{spec.name} successfully completed."
            reconciliation.finish(SUCCEEDED, message, "successful")
            return True
        if replicas.exhausted:
            reconciliation.stop(f"{KIND} {spec.namespace}/{spec.name} has failed because {replicas.exhausted}")
            return True
        for kind, failed in replicas.failed.items():
            if failed and not (kind == WORKER and self._can_do_without()):
                reconciliation.fail(f"{len(failed)} {kind} replica(s) failed.{replicas.causes.get(kind, '')}")
                return True
        if replicas.refused:
            reconciliation.fail(replicas.refused.message)
            return True
        return False

    def _is_successful(self) -> bool:
        spec, done = self.spec, self.replicas.done
        if spec.leader:
            return 0 in done[spec.leader.type]
        if spec.worker and spec.success_policy != ALL_WORKERS:
            return 0 in done[WORKER]
        needed = (spec.worker,) if spec.worker else spec.replicas
        return all(len(done[replica.type]) == replica.count for replica in needed)

    def _waits_for_evaluator(self) -> bool:
        evaluator = next((replica for replica in self.spec.replicas if replica.type == EVALUATOR), None)
        if evaluator is None or not self.spec.run_policy.wait_for_evaluator:
            return False
        return len(self.replicas.done[EVALUATOR] | self.replicas.failed[EVALUATOR]) < evaluator.count

    def _can_do_without(self) -> bool:
        """Whether a job of dynamic workers continues without those that failed: while one is left."""
        spec, replicas = self.spec, self.replicas
        if not spec.dynamic_workers or spec.worker is None:
            return False
        ended = replicas.done[WORKER] | replicas.failed[WORKER]
        return spec.leader is not None or len(ended) < spec.worker.count

    def _pass_limits(self) -> bool:
        policy, reconciliation, replicas = self.spec.run_policy, self.reconciliation, self.replicas
        if policy.backoff_limit is not None and self._is_past_backoff(policy.backoff_limit):
            reconciliation.stop(
                f"Job {reconciliation.name} has failed because it has reached the specified backoff limit"
            )
            return True
        if policy.active_deadline is not None and self._is_past(policy.active_deadline):
            reconciliation.stop(
                f"Job {reconciliation.name} has failed because it was active longer than specified deadline"
            )
            return True
        if policy.start_deadline is not None and replicas.unstarted and self._is_past(policy.start_deadline):
            reconciliation.stop(
                f"Job {reconciliation.name} has failed because {self._why_unstarted(policy.start_deadline)}"
            )
            return True
        return False

    def _why_unstarted(self, deadline: int) -> str:
        """In words, from the first replica with a known cause."""
        names, troubles = self.replicas.unstarted, self.replicas.troubles
        name = next((name for name in names if name in troubles), names[0])
        trouble = troubles.get(name) or self.replicas.trouble
        cause = trouble.message if trouble else "Its pod does not say why; look at its events."
        return f"{name} did not start within {deadline} seconds. {cause}"

    def _is_past(self, deadline: int) -> bool:
        """Whether this time has passed since the job started or resumed; if not, it is reconciled again then."""
        started = times.parse(self.reconciliation.status["startTime"])
        left = (started + timedelta(seconds=deadline) - self.reconciliation.now).total_seconds()
        if left > 0:
            self.reconciliation.wake.append(left)
        return left <= 0

    def _is_past_backoff(self, limit: int) -> bool:
        """Counts replaced pods and containers restarted in place, as Kubernetes does for a Job."""
        in_place = self.replicas.in_place
        replaced = sum(memory.get("restarts", 0) for memory in self.replicas.tasks.values())
        if self.replicas.restarted and replaced + in_place > limit:
            return True
        return in_place > 0 and replaced + in_place >= max(limit, 1)

    def _surplus(self, children: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
        """The pods or services that no replica of the job needs."""
        return [child for name, child in children.items() if name not in self._wanted]

    @functools.cached_property
    def _wanted(self) -> set[str]:
        """Names of all replicas."""
        return {
            child_name(self.spec.name, replica.type, index)
            for replica in self.spec.replicas
            for index in range(replica.count)
        }

    def _remove_surplus(self) -> None:
        for kind, children in (("Pod", self.reconciliation.pods), ("Service", self.reconciliation.services)):
            for child in self._surplus(children):
                self.reconciliation.remove(kind, child)

    def _tell(self) -> None:
        """Conditions of a job that continues."""
        reconciliation, spec, replicas = self.reconciliation, self.spec, self.replicas
        if replicas.restarted:
            kinds = ", ".join(replicas.restarted)
            causes = "".join(replicas.causes.get(kind, "") for kind in replicas.restarted)
            message = f"job {spec.name} is restarting because {kinds} replica(s) failed.{causes}"
            set_condition(reconciliation.status, RESTARTING, message=message, now=reconciliation.now)
            reconciliation.events.append(Event("Warning", reason_of(RESTARTING), message))
            reconciliation.counted += ["restarted"] * sum(replicas.restarted.values())
        elif self._is_running():
            set_condition(
                reconciliation.status,
                RUNNING,
                message=f"{KIND} {spec.namespace}/{spec.name} is running.",
                now=reconciliation.now,
            )
        trouble = replicas.trouble
        if trouble:
            if amend_created(
                reconciliation.status, reason=trouble.reason, message=trouble.message, now=reconciliation.now
            ):
                reconciliation.events.append(Event("Warning", *trouble))
        else:
            message = f"{KIND} {spec.name} is created."
            amend_created(reconciliation.status, reason=reason_of(CREATED), message=message, now=reconciliation.now)

    def _is_running(self) -> bool:
        running, lead = self.replicas.running, self.spec.leader or self.spec.worker
        return bool(running[lead.type]) if lead else any(running.values())


def _dropped(job_name: str, pods: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What to remember of pods that the job does not need any more: their end does not count."""
    metas = [pod["metadata"] for pod in pods]
    return {meta["name"].removeprefix(f"{job_name}-"): {"dropped": meta["uid"]} for meta in metas}
