"""What can happen to the jobs of one name, as rules of a state machine. `test_sequences.py` has the invariants."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kf_spawner.kube import Forbidden, Invalid
from kf_spawner.tfjob import plan
from kf_spawner.tfjob.names import KIND
from kf_spawner.tfjob.plan import SLICE
from kf_spawner.tfjob.pods import phase as phase_of
from kf_spawner.tfjob.pods import restarts_in_place
from tests.operator.simulation import POD, SERVICE, Api, SimulatedOperator, task_of
from tests.tfjob.builders import claim, job

NODES = ("one", "two")

SELDOM = st.sampled_from([False] * 4 + [True])
OUTCOMES = st.sampled_from(
    [
        ("Running", None, ""),
        ("Running", None, ""),
        ("Succeeded", 0, ""),
        ("Failed", 1, ""),
        ("Failed", None, "Evicted"),
    ]
    + [("Failed", 137, "")] * 3
)
OTHERS = st.sampled_from([{}, {"PS": 1}, {"Chief": 1}, {"Master": 1, "PS": 2}, {"Chief": 1, "Evaluator": 1}])
RUN_POLICIES = st.fixed_dictionaries(
    {"cleanPodPolicy": st.sampled_from(["None", "Running", "All", "PS"])},
    optional={
        "backoffLimit": st.sampled_from([0, 2]),
        "activeDeadlineSeconds": st.sampled_from([50, 500]),
        "startDeadlineSeconds": st.just(100),
        "ttlSecondsAfterFinished": st.sampled_from([0, 100]),
        "suspend": SELDOM,
        "waitForEvaluator": st.just(True),
        "avoidFailedNodes": st.just(True),
    },
)
REPLICA_OPTIONS = st.fixed_dictionaries(
    {}, optional={"maxRestarts": st.sampled_from([0, 1]), "volumeClaimTemplates": st.just([claim("data")])}
)
JOB_OPTIONS = st.fixed_dictionaries(
    {}, optional={"successPolicy": st.just("AllWorkers"), "enableDynamicWorker": st.just(True)}
)
MEANWHILE = ["changes", "pods end", "scale", "suspend", "resume", "delete", "create again", "adopt", "a pod fails"]


class JobMachine(RuleBasedStateMachine):
    """Users, kubelets, a slow network and an operator that is killed, around the jobs of one name."""

    @initialize(
        workers=st.integers(0, 3),
        others=OTHERS,
        restart=st.sampled_from(["Never", "Always", *["OnFailure", "ExitCode"] * 2]),
        policy=RUN_POLICIES,
        of_replicas=REPLICA_OPTIONS,
        of_job=JOB_OPTIONS,
        at_once=st.sampled_from([1, 2, SLICE]),
    )
    def begin(self, workers, others, restart, policy, of_replicas, of_job, at_once):
        plan.SLICE = at_once
        counts = {"Worker": workers or 1} | others if workers or not others else others
        self.template = job(run_policy=policy, restart=restart, **counts)
        self.template["spec"].update(of_job)
        for spec in self.template["spec"]["tfReplicaSpecs"].values():
            spec.update(of_replicas)
        del self.template["metadata"]["uid"]
        self.api = Api()
        for node in NODES:
            self.api.set_ready(node, True)
        self.most: dict[str, dict[str, int]] = {}
        self.ends: dict[str, str] = {}
        self.failures: dict[tuple[str, str], int] = {}
        self.nodes_were_lost = False
        self.create()
        self.operator = SimulatedOperator(self.api)
        self.work()

    @property
    def job(self) -> dict | None:
        return self.api.objects.get((KIND, "mnist"))

    @property
    def counts(self) -> dict[str, int]:
        assert self.job
        return {kind: spec["replicas"] for kind, spec in self.job["spec"]["tfReplicaSpecs"].items()}

    @property
    def policy(self) -> dict:
        assert self.job
        return self.job["spec"]["runPolicy"]

    def work(self, **faults) -> None:
        self.operator.take_turns(**faults)

    def was_harmed(self, uid: str) -> bool:
        return self.nodes_were_lost or any(uid in self.api.owners_of(pod) for pod, _ in self.failures)

    # The operator and its network

    @rule(data=st.data(), count=st.integers(1, 6), twice=st.booleans())
    def some_changes_arrive(self, data, count, twice):
        self.operator.deliver(data.draw(st.sampled_from(self.operator.kinds)), count, twice=twice)

    @rule()
    def all_changes_arrive(self):
        for kind in self.operator.kinds:
            self.operator.deliver(kind)

    @rule()
    def all_changes_arrive_and_are_handled(self):
        self.all_changes_arrive()
        self.operator.take_turns(limit=5)

    @rule(data=st.data())
    def watch_restarts(self, data):
        self.operator.relist(data.draw(st.sampled_from(self.operator.kinds)))

    @rule(number=st.integers(1, 6))
    def operator_works(self, number):
        self.operator.take_turns(limit=number)

    @rule(budget=st.integers(0, 6), fresh=st.booleans())
    def operator_is_killed_at_work(self, budget, fresh):
        if fresh:
            self.all_changes_arrive()
        self.work(budget=budget)

    @rule(lose=st.integers(1, 6), fresh=st.booleans())
    def a_response_is_lost(self, lose, fresh):
        if fresh:
            self.all_changes_arrive()
        self.work(lose=lose)

    @rule(number=st.integers(1, 6), what=st.sampled_from(MEANWHILE), known=st.booleans())
    def something_happens_while_operator_works(self, number, what, known):
        acts = {
            "changes": self.all_changes_arrive,
            "pods end": self.terminating_pods_end,
            "scale": lambda: self.scale_to(1),
            "suspend": lambda: self.set_suspend(True),
            "resume": lambda: self.set_suspend(False),
            "delete": self.delete,
            "create again": lambda: (self.delete(), self.create()),
            "adopt": lambda: (self.delete_with_orphans(), self.create()),
            "a pod fails": lambda: self.set_phase(next(iter(self.live_pods()), None), "Failed", 137),
        }

        def act():
            acts[what]()
            if known:
                self.all_changes_arrive()

        self.all_changes_arrive()
        self.work(meanwhile=(number, act))

    @rule()
    def operator_restarts(self):
        self.operator.die()

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def time_passes(self, seconds):
        self.operator.pass_time(seconds)

    @rule(refusal=st.sampled_from([None] * 5 + [Forbidden, Forbidden, Invalid]))
    def a_quota_comes_or_goes(self, refusal):
        self.api.refusal = refusal

    # Kubelets and the garbage collector

    def live_pods(self) -> list[str]:
        return [name for name, pod in self.api.of(POD).items() if phase_of(pod) in ("Pending", "Running")]

    @precondition(lambda self: self.live_pods())
    @rule(data=st.data(), outcome=OUTCOMES, node=st.sampled_from(NODES))
    def a_pod_changes_phase(self, data, outcome, node):
        phase, code, reason = outcome
        self.set_phase(data.draw(st.sampled_from(self.live_pods())), phase, code, node=node, reason=reason)

    @precondition(lambda self: self.live_pods())
    @rule(data=st.data())
    def a_container_restarts_in_its_pod(self, data):
        self.set_phase(data.draw(st.sampled_from(self.live_pods())), "Running", restarts=1)

    def set_phase(self, name, phase, code=None, *, node=NODES[0], reason="", restarts=0):
        if name is None:
            return
        pod = self.api.objects[POD, name]
        if phase == "Failed" or restarts:
            failed = (pod["metadata"]["uid"], "-".join(map(str, task_of(pod))))
            self.failures[failed] = self.failures.get(failed, 0) + 1
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "tensorflow", "restartCount": restarts_in_place(pod) + restarts, "state": state}
        status = {"phase": phase, "containerStatuses": [container], **({"reason": reason} if reason else {})}
        self.api.put(POD, {**pod, "spec": {"nodeName": node, **pod["spec"]}, "status": status})

    @rule()
    def terminating_pods_end(self):
        self.api.end_terminating_pods()

    @rule(node=st.sampled_from(NODES), lost=SELDOM)
    def a_node_is_lost_or_found(self, node, lost):
        self.nodes_were_lost = self.nodes_were_lost or lost
        self.api.set_ready(node, not lost)

    @rule()
    def garbage_is_collected(self):
        self.api.collect_garbage()

    # Users

    @precondition(lambda self: self.api.of(POD))
    @rule(data=st.data())
    def somebody_deletes_a_pod(self, data):
        self.api.terminate(POD, data.draw(st.sampled_from(sorted(self.api.of(POD)))))

    @precondition(lambda self: self.api.of(SERVICE))
    @rule(data=st.data())
    def somebody_deletes_a_service(self, data):
        self.api.terminate(SERVICE, data.draw(st.sampled_from(sorted(self.api.of(SERVICE)))))

    @rule(workers=st.integers(1, 4))
    def scale_to(self, workers):
        if self.job and "Worker" in self.counts:
            specs = self.job["spec"]["tfReplicaSpecs"]
            self.edit(tfReplicaSpecs={**specs, "Worker": {**specs["Worker"], "replicas": workers}})

    @rule(value=SELDOM)
    def set_suspend(self, value):
        if self.job:
            self.edit(runPolicy={**self.policy, "suspend": value})

    @rule(really=SELDOM)
    def delete(self, really=True):
        if self.job and really:
            self.api.terminate(KIND, "mnist")

    @rule(really=SELDOM)
    def delete_with_orphans(self, really=True):
        if self.job and really:
            left = self.most.setdefault("", {})
            for kind, count in self.most[self.job["metadata"]["uid"]].items():
                left[kind] = max(left.get(kind, 0), count)
            self.api.remove_with_orphans(self.job)

    @rule()
    def create(self):
        if not self.job:
            self.api.put(KIND, self.template)
            self.note_counts()

    def edit(self, **fields) -> None:
        meta = {**self.job["metadata"], "edited": True}
        self.api.put(KIND, {**self.job, "metadata": meta, "spec": {**self.job["spec"], **fields}})
        self.note_counts()

    def note_counts(self) -> None:
        most = self.most.setdefault(self.job["metadata"]["uid"], dict(self.most.get("", {})))
        for kind, count in self.counts.items():
            most[kind.lower()] = max(most.get(kind.lower(), 0), count)
