"""The replicas of a job that continues: what each does, what to remember of it, and what it needs.

Adds children to create and to delete to the reconciliation. May not decide the job's state.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from kf_spawner.k8s import quota, times

from . import pods as pod_status
from .children import Children
from .defaults import ALWAYS, NEVER, ON_FAILURE, JobSpec, Replica
from .names import child_name, task_name
from .plan import Event, Making, Reconciliation, Refusal
from .podgroup import GroupState
from .pods import Trouble
from .status import CREATE_REFUSED

LONGEST_RESTART_DELAY = 60.0
NODE_LOST = "TFJobNodeLost"
DISRUPTED = "TFJobPodDisrupted"
POLICY_OVERWRITTEN = Event(
    "Warning",
    "SetPodTemplateRestartPolicy",
    "Restart policy in pod template will be overwritten by restart policy in replica spec",
)
NODES_REMEMBERED = 5


class Replicas:
    """What `look` found. Sets and lists hold indices, by replica type.

    `done`: succeeded, now or before. `running`: right now. `failed`: finally. `restarted`: number of replicas
    replaced in this reconciliation. `in_place`: restarts of containers within their pods. `exhausted`: why a limit of
    restarts ends the job. `unstarted`: those whose program has never run. `troubles`: why one does not start, by its
    name; `refused`: a final reason. `causes`: a sentence, with a space before it, for a type with a replica that did
    not end by itself. `tasks`: what to remember.
    """

    def __init__(
        self, reconciliation: Reconciliation, spec: JobSpec, children: Children, refusals: Mapping[str, Refusal]
    ):
        self.reconciliation, self.spec, self.children, self.refusals = reconciliation, spec, children, refusals
        self._turns = {name: turn for turn, name in enumerate(refusals)}
        self.counts = {replica.type: {"active": 0, "succeeded": 0, "failed": 0} for replica in spec.replicas}
        self.done: dict[str, set[int]] = {replica.type: set() for replica in spec.replicas}
        self.running: dict[str, set[int]] = {replica.type: set() for replica in spec.replicas}
        self.failed: dict[str, set[int]] = {replica.type: set() for replica in spec.replicas}
        self.restarted: dict[str, int] = {}
        self.in_place = 0
        self.exhausted = ""
        self.causes: dict[str, str] = {}
        self.unstarted: list[str] = []
        self.troubles: dict[str, Trouble] = {}
        self.refused: Trouble | None = None
        self.held = False
        self.tasks: dict[str, dict[str, Any]] = {}

    def hold(self, group: GroupState) -> None:
        """Creates no pod before the job's PodGroup admits it."""
        self.held = not group.admits
        if group.trouble:
            self.troubles[self.spec.name] = group.trouble
            self.refused = group.trouble if group.refused else None

    @property
    def trouble(self) -> Trouble | None:
        """The trouble to report."""
        return self.refused or next(iter(self.troubles.values()), None)

    def look(self) -> None:
        for replica in self.spec.replicas:
            for index in range(replica.count):
                self._look_at(replica, index)

    def _look_at(self, replica: Replica, index: int) -> None:
        """Looks at one replica, and creates or deletes its children."""
        task, name = task_name(replica.type, index), child_name(self.spec.name, replica.type, index)
        memory = dict((self.reconciliation.status.get("tasks") or {}).get(task) or {})
        pod = self.reconciliation.pods.get(name)
        phase = pod_status.phase(pod) if pod else ""
        if pod is None or memory.get("dropped") != pod["metadata"]["uid"]:
            memory.pop("dropped", None)
        if phase == "Succeeded" and "dropped" not in memory:
            memory["succeeded"] = True
        if memory.get("succeeded"):
            self.done[replica.type].add(index)
            self.counts[replica.type]["succeeded"] += 1
        elif pod is None:
            self._make(replica, index, memory)
        elif "dropped" in memory:
            # It was deleted before this replica was wanted: its end does not count.
            self.reconciliation.remove("Pod", pod)
        else:
            self._take_pod(replica, index, pod, phase, memory)
        self._note_start(name, pod, memory)
        if memory:
            self.tasks[task] = memory
        if pod is not None and name not in self.reconciliation.services:
            self._plan(name, lambda: [self.children.service(replica, index)], {name: name})

    def _take_pod(
        self, replica: Replica, index: int, pod: dict[str, Any], phase: str, memory: dict[str, Any]
    ) -> None:
        if pod_status.is_terminating(pod):
            self.reconciliation.await_end(pod)
        if self.reconciliation.is_lost(pod):
            self._take_loss(replica, index, pod, memory)
        elif pod_status.is_terminating(pod) and replica.restart_policy != NEVER:
            pass  # evicted or drained: it is replaced once it is gone
        elif phase == "Failed":
            self._take_failure(replica, index, pod, memory)
        else:
            self._take_live(replica, index, pod, phase, memory)

    def _take_live(
        self, replica: Replica, index: int, pod: dict[str, Any], phase: str, memory: dict[str, Any]
    ) -> None:
        if replica.restart_policy in (ON_FAILURE, ALWAYS):
            restarts = pod_status.restarts_in_place(pod)
            self.in_place += restarts
            self._note_cause(replica, pod, is_news=False)
            limit = replica.max_restarts
            if limit is not None and restarts and memory.get("restarts", 0) + restarts > limit:
                self._exhaust(replica, pod)
                self._fail(replica, index, pod, memory)
                return
        if phase == "Running" and not pod_status.is_terminating(pod):
            self.counts[replica.type]["active"] += 1
            self.running[replica.type].add(index)
        found = pod_status.trouble_of(pod)
        if found:
            name = pod["metadata"]["name"]
            self.troubles[name] = found._replace(message=f"Pod {name} {found.message}")

    def _take_failure(self, replica: Replica, index: int, pod: dict[str, Any], memory: dict[str, Any]) -> None:
        meta, code = pod["metadata"], pod_status.exit_code(pod)
        is_news = memory.get("pod") != meta["uid"]
        if code is not None and is_news:
            message = f"Pod: {meta['namespace']}.{meta['name']} exited with code {code}"
            self.reconciliation.events.append(Event("Normal", "ExitedWithCode", message))
        self._note_cause(replica, pod, is_news=is_news)
        restarts = memory.get("restarts", 0) + pod_status.restarts_in_place(pod)
        again = pod_status.is_retryable(pod, replica.restart_policy)
        if again and is_news and replica.max_restarts is not None and restarts >= replica.max_restarts:
            self._exhaust(replica, pod)
            again = False
        if not again:
            self._fail(replica, index, pod, memory)
            return
        if is_news:
            memory.update(restarts=restarts + 1, restartTime=times.text(self.reconciliation.now))
            self._note_restart(replica, pod, memory)
        self.reconciliation.remove("Pod", pod)

    def _note_cause(self, replica: Replica, pod: dict[str, Any], *, is_news: bool) -> None:
        """Says why a pod ended, if its program did not end by itself."""
        name, why, told = pod["metadata"]["name"], pod_status.why_ended(pod), pod_status.disruption(pod)
        if not why:
            return
        self.causes.setdefault(replica.type, f" Pod {name} {why}.")
        if is_news:
            reason, said = (DISRUPTED, f" Kubernetes says: {told}.") if told else (pod_status.OUT_OF_MEMORY, "")
            node = pod_status.node_of(pod)
            place = f"Pod {name} on node {node}" if node else f"Pod {name}"
            self.reconciliation.events.append(Event("Warning", reason, f"{place} {why}.{said}"))

    def _take_loss(self, replica: Replica, index: int, pod: dict[str, Any], memory: dict[str, Any]) -> None:
        """The pod's node is lost and will not report what became of the pod."""
        if memory.get("pod") != pod["metadata"]["uid"]:
            name, node = pod["metadata"]["name"], pod_status.node_of(pod)
            self.reconciliation.events.append(Event("Warning", NODE_LOST, f"Pod {name} is lost with its node {node}"))
        if replica.restart_policy == NEVER:
            self._fail(replica, index, pod, memory)
            return
        if memory.get("pod") != pod["metadata"]["uid"]:
            self._note_restart(replica, pod, memory)  # not the program's fault: no restart is counted
        self.reconciliation.remove("Pod", pod)

    def _fail(self, replica: Replica, index: int, pod: dict[str, Any], memory: dict[str, Any]) -> None:
        self.counts[replica.type]["failed"] += 1
        self.failed[replica.type].add(index)
        memory["pod"] = pod["metadata"]["uid"]

    def _note_restart(self, replica: Replica, pod: dict[str, Any], memory: dict[str, Any]) -> None:
        memory["pod"] = pod["metadata"]["uid"]
        self.restarted[replica.type] = self.restarted.get(replica.type, 0) + 1
        node = pod_status.node_of(pod)
        if node and self.spec.run_policy.avoid_failed_nodes:
            others = [other for other in memory.get("nodes") or () if other != node]
            memory["nodes"] = [*others, node][-NODES_REMEMBERED:]

    def _exhaust(self, replica: Replica, pod: dict[str, Any]) -> None:
        often = f"{replica.max_restarts} time{'' if replica.max_restarts == 1 else 's'}"
        name, cause = pod["metadata"]["name"], self.causes.get(replica.type, "")
        self.exhausted = f"{name} failed, and was restarted {often} before, as often as its maxRestarts allows"
        self.exhausted += f".{cause}" if cause else ""

    def _note_start(self, name: str, pod: dict[str, Any] | None, memory: dict[str, Any]) -> None:
        """Kept while there is a deadline for all replicas to have run once; a replica may have ended since."""
        if self.spec.run_policy.start_deadline is None or self.reconciliation.status.get("started"):
            memory.pop("started", None)
            return
        if (
            memory.get("succeeded")
            or memory.get("restarts")
            or (pod and "dropped" not in memory and pod_status.has_started(pod))
        ):
            memory["started"] = True
        if "started" not in memory:
            self.unstarted.append(name)

    def _make(self, replica: Replica, index: int, memory: dict[str, Any]) -> None:
        if self.held:
            return
        wait = self._restart_wait(memory)
        if wait > 0:
            self.reconciliation.wake.append(wait)
            return
        name = child_name(self.spec.name, replica.type, index)
        self._plan(name, lambda: self._manifests(replica, index, memory), self._children_of(replica, index))
        if replica.template["spec"].get("restartPolicy") and POLICY_OVERWRITTEN not in self.reconciliation.events:
            self.reconciliation.events.append(POLICY_OVERWRITTEN)

    def _plan(self, name: str, making: Making, children: Mapping[str, str]) -> None:
        """Plans what `making` makes for the replica `name`; `children`: what to call each of them, by name."""
        refused = [child for child in children if child in self.refusals] if self.refusals else ()
        self.reconciliation.make(making, refused=min((self._turns[child] for child in refused), default=None))
        for child in refused:
            refusal = self.refusals[child]
            said = f"{children[child]} cannot be created: {quota.in_words(refusal.message)}"
            trouble = Trouble(CREATE_REFUSED, said)
            self.troubles.setdefault(name, trouble)
            self.refused = self.refused or (trouble if refusal.final else None)

    def _manifests(self, replica: Replica, index: int, memory: dict[str, Any]) -> list[dict[str, Any]]:
        made = self.children.claims(replica, index)
        if child_name(self.spec.name, replica.type, index) not in self.reconciliation.services:
            made.append(self.children.service(replica, index))
        return [*made, self.children.pod(replica, index, avoid=memory.get("nodes") or ())]

    def _children_of(self, replica: Replica, index: int) -> dict[str, str]:
        """What to call each child of this replica, by name: a claim with the field that it comes from."""
        if not self.refusals:
            return {}
        field = f"spec.tfReplicaSpecs.{replica.type}.volumeClaimTemplates"
        claims = {
            name: f"{field}[{number}]: {name}"
            for number, name in enumerate(self.children.claim_names(replica, index))
        }
        name = child_name(self.spec.name, replica.type, index)
        return {**claims, name: name}

    def _restart_wait(self, memory: dict[str, Any]) -> float:
        """The first restart is immediate; each further one waits twice as long as the one before."""
        restarts = memory.get("restarts", 0)
        if restarts < 2:
            return 0.0
        delay = min(2.0 ** min(restarts - 2, 10), LONGEST_RESTART_DELAY)
        due = times.parse(memory["restartTime"]) + timedelta(seconds=delay)
        return (due - self.reconciliation.now).total_seconds()
