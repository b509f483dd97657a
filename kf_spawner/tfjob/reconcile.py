"""What to do next about a job: from the job, its pods and its services to a plan. Decides; may not act.

Level-based: whatever happened, and whether or not anybody saw it happen, the same world gives the same plan.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from . import pods as pod_status
from .children import Children
from .defaults import ALL_WORKERS, ALWAYS, NEVER, ON_FAILURE, JobSpec, Replica, read_run_policy, read_spec
from .names import KIND, MULTIKUEUE, WORKER, child_name, task_name
from .plan import Event, Plan, Refusal, Turn
from .pods import Trouble
from .status import (
    CREATED,
    RESTARTING,
    RUNNING,
    SUCCEEDED,
    SUSPENDED,
    amend_created,
    is_finished,
    is_true,
    parse_time,
    reason_of,
    set_condition,
    timestamp,
)
from .validation import validate

LONGEST_RESTART_DELAY = 60.0
CREATE_REFUSED = "TFJobCreateRefused"


def decide(
    job: dict,
    pods: list[dict],
    services: list[dict],
    *,
    now: datetime,
    cluster_domain: str = "",
    refusals: Mapping[str, Refusal] | None = None,
) -> Plan:
    """The plan for `job`. Pods and services that it does not control are passed over.

    `now` is an aware UTC time; `refusals` maps names of children that the API server would not make to what it said:
    the job waits for a better answer, or fails if the answer is final. The job may be invalid in any way: it then
    ends Failed, with a message that names the fields.
    """
    spec = job.get("spec")
    managed = isinstance(spec, dict) and read_run_policy(job).managed_by == MULTIKUEUE
    if job["metadata"].get("deletionTimestamp") or managed:
        return Plan()
    turn = Turn(job, pods, services, now)
    if not is_finished(turn.status):
        errors = validate(job)
        if errors:
            turn.note_created()
            turn.fail("it is not valid: " + "; ".join(str(error) for error in errors))
        else:
            _Advance(turn, read_spec(job), cluster_domain, refusals or {}).run()
    if is_finished(turn.status):
        turn.clean_up()
    return turn.plan()


class _Advance:
    """One turn of a valid job that has not ended."""

    def __init__(self, turn: Turn, spec: JobSpec, cluster_domain: str, refusals: Mapping[str, Refusal]):
        self.turn, self.spec, self.refusals = turn, spec, refusals
        self.children = Children(spec, cluster_domain=cluster_domain)
        self.counts = {replica.type: {"active": 0, "succeeded": 0, "failed": 0} for replica in spec.replicas}
        self.done: set[tuple[str, int]] = set()
        self.running: set[tuple[str, int]] = set()
        self.failed: dict[str, int] = {}
        self.restarted: dict[str, int] = {}
        self.in_place = 0
        self.trouble: Trouble | None = None
        self.refused = False
        self.tasks: dict[str, dict] = {}

    def run(self) -> None:
        turn, policy = self.turn, self.spec.run_policy
        turn.note_created()
        if policy.suspend:
            self._suspend()
            return
        if is_true(turn.status, SUSPENDED):
            self._resume()
        turn.status.setdefault("startTime", timestamp(turn.now))
        for replica in self.spec.replicas:
            for index in range(replica.count):
                self._look_at(replica, index)
        self._remember()
        if not (self._end() or self._pass_limits()):
            self._remove_surplus()
            self._tell()

    def _suspend(self) -> None:
        turn = self.turn
        message = f"{KIND} {turn.name} is suspended."
        turn.remove_all()
        turn.status.pop("tasks", None)
        turn.status["replicaStatuses"] = self.counts
        if is_true(turn.status, RUNNING):
            set_condition(
                turn.status, RUNNING, value=False, reason=reason_of(SUSPENDED), message=message, now=turn.now
            )
        if set_condition(turn.status, SUSPENDED, message=message, now=turn.now):
            turn.events.append(Event("Normal", reason_of(SUSPENDED), message))

    def _resume(self) -> None:
        turn = self.turn
        message = f"{KIND} {turn.name} is resumed."
        turn.status["startTime"] = timestamp(turn.now)
        set_condition(turn.status, SUSPENDED, value=False, reason="TFJobResumed", message=message, now=turn.now)
        turn.events.append(Event("Normal", "TFJobResumed", message))

    def _look_at(self, replica: Replica, index: int) -> None:
        """Takes one replica into account, and makes or removes its children."""
        name, counts = task_name(replica.type, index), self.counts[replica.type]
        memory = dict((self.turn.status.get("tasks") or {}).get(name) or {})
        pod = self.turn.pods.get(child_name(self.spec.name, replica.type, index))
        phase = pod_status.phase(pod) if pod else ""
        if phase == "Succeeded":
            memory["succeeded"] = True
        if memory.get("succeeded"):
            self.done.add((replica.type, index))
            counts["succeeded"] += 1
        elif pod is None:
            self._make(replica, index, memory)
        elif pod_status.is_terminating(pod) and replica.restart_policy != NEVER:
            pass  # evicted or drained: it is made again once it has gone
        elif phase == "Failed":
            self._take_failure(replica, pod, memory)
        else:
            self._take_live(replica, index, pod, phase)
        if memory:
            self.tasks[name] = memory
        if pod is not None and child_name(self.spec.name, replica.type, index) not in self.turn.services:
            self.turn.create.append(self.children.service(replica, index))

    def _take_live(self, replica: Replica, index: int, pod: dict, phase: str) -> None:
        if replica.restart_policy in (ON_FAILURE, ALWAYS):
            self.in_place += pod_status.restarts_in_place(pod)
        if phase == "Running" and not pod_status.is_terminating(pod):
            self.counts[replica.type]["active"] += 1
            self.running.add((replica.type, index))
        found = pod_status.trouble_of(pod)
        if found and not self.trouble:
            self.trouble = found._replace(message=f"Pod {pod['metadata']['name']} {found.message}")

    def _take_failure(self, replica: Replica, pod: dict, memory: dict) -> None:
        meta, code = pod["metadata"], pod_status.exit_code(pod)
        again = pod_status.is_retryable(pod, replica.restart_policy)
        if code is not None and memory.get("pod") != meta["uid"]:
            message = f"Pod: {meta['namespace']}.{meta['name']} exited with code {code}"
            self.turn.events.append(Event("Normal", "ExitedWithCode", message))
        if not again:
            self.counts[replica.type]["failed"] += 1
            self.failed[replica.type] = self.failed.get(replica.type, 0) + 1
            memory["pod"] = meta["uid"]
            return
        if memory.get("pod") != meta["uid"]:
            restarts = memory.get("restarts", 0) + 1 + pod_status.restarts_in_place(pod)
            memory.update(restarts=restarts, pod=meta["uid"], restartTime=timestamp(self.turn.now))
            self.restarted[replica.type] = self.restarted.get(replica.type, 0) + 1
        self.turn.remove("Pod", pod)

    def _make(self, replica: Replica, index: int, memory: dict) -> None:
        wait = self._restart_wait(memory)
        if wait > 0:
            self.turn.wake.append(wait)
            return
        name = child_name(self.spec.name, replica.type, index)
        if name not in self.turn.services:
            self.turn.create.append(self.children.service(replica, index))
        self.turn.create.append(self.children.pod(replica, index))
        refusal = self.refusals.get(name)
        if refusal and (refusal.final or not self.trouble):
            self.refused = self.refused or refusal.final
            self.trouble = Trouble(CREATE_REFUSED, f"{name} cannot be made: {refusal.message}")

    def _restart_wait(self, memory: dict) -> float:
        """The first restart is made at once, each further one after twice the time of the one before."""
        restarts = memory.get("restarts", 0)
        if restarts < 2:
            return 0.0
        delay = min(2.0 ** min(restarts - 2, 10), LONGEST_RESTART_DELAY)
        due = parse_time(memory["restartTime"]) + timedelta(seconds=delay)
        return (due - self.turn.now).total_seconds()

    def _remember(self) -> None:
        self.turn.status["replicaStatuses"] = self.counts
        if self.tasks:
            self.turn.status["tasks"] = self.tasks
        else:
            self.turn.status.pop("tasks", None)

    def _end(self) -> bool:
        turn, spec = self.turn, self.spec
        if self._is_successful():
            message = f"{KIND} {spec.namespace}/{spec.name} successfully completed."
            turn.finish(SUCCEEDED, message, "successful")
            return True
        for kind, number in self.failed.items():
            if not (spec.dynamic_workers and kind == WORKER):
                turn.fail(f"{number} {kind} replica(s) failed.")
                return True
        if self.refused and self.trouble:
            turn.fail(self.trouble.message)
            return True
        return False

    def _is_successful(self) -> bool:
        spec, leader, worker = self.spec, self.spec.leader, self.spec.worker
        if leader:
            return (leader.type, 0) in self.done
        if worker and spec.success_policy != ALL_WORKERS:
            return (worker.type, 0) in self.done
        needed = (worker,) if worker else spec.replicas
        return all((replica.type, index) in self.done for replica in needed for index in range(replica.count))

    def _pass_limits(self) -> bool:
        policy, turn = self.spec.run_policy, self.turn
        if policy.backoff_limit is not None and self._is_past_backoff(policy.backoff_limit):
            turn.stop(f"Job {turn.name} has failed because it has reached the specified backoff limit")
            return True
        if policy.active_deadline is not None:
            started = parse_time(turn.status["startTime"])
            left = (started + timedelta(seconds=policy.active_deadline) - turn.now).total_seconds()
            if left <= 0:
                turn.stop(f"Job {turn.name} has failed because it was active longer than specified deadline")
                return True
            turn.wake.append(left)
        return False

    def _is_past_backoff(self, limit: int) -> bool:
        """Counts pods made anew and containers started anew in place, each as Kubernetes does for a Job."""
        anew = sum(memory.get("restarts", 0) for memory in self.tasks.values())
        if self.restarted and anew + self.in_place > limit:
            return True
        return self.in_place > 0 and anew + self.in_place >= max(limit, 1)

    def _remove_surplus(self) -> None:
        wanted = {
            child_name(self.spec.name, replica.type, index)
            for replica in self.spec.replicas
            for index in range(replica.count)
        }
        for name in self.turn.pods.keys() - wanted:
            self.turn.remove("Pod", self.turn.pods[name])
        for name in self.turn.services.keys() - wanted:
            self.turn.remove("Service", self.turn.services[name])

    def _tell(self) -> None:
        """Conditions of a job that goes on."""
        turn, spec = self.turn, self.spec
        if self.restarted:
            kinds = ", ".join(self.restarted)
            message = f"job {spec.name} is restarting because {kinds} replica(s) failed."
            set_condition(turn.status, RESTARTING, message=message, now=turn.now)
            turn.events.append(Event("Warning", reason_of(RESTARTING), message))
            turn.counted += ["restarted"] * sum(self.restarted.values())
        elif self._is_running():
            set_condition(
                turn.status, RUNNING, message=f"{KIND} {spec.namespace}/{spec.name} is running.", now=turn.now
            )
        if self.trouble:
            if amend_created(turn.status, reason=self.trouble.reason, message=self.trouble.message, now=turn.now):
                turn.events.append(Event("Warning", *self.trouble))
        else:
            message = f"{KIND} {spec.name} is created."
            amend_created(turn.status, reason=reason_of(CREATED), message=message, now=turn.now)

    def _is_running(self) -> bool:
        lead = self.spec.leader or self.spec.worker
        return any(kind == lead.type for kind, _ in self.running) if lead else bool(self.running)
