"""Random sequences of what can happen to a job: whatever the order, what must never be, never is."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kf_spawner.operator.view import POD, SERVICE
from kf_spawner.tfjob.names import KIND
from kf_spawner.tfjob.pods import phase as phase_of
from kf_spawner.tfjob.status import is_finished, is_true
from tests.operator.simulation import Api, SimulatedOperator, task_of
from tests.tfjob.world import job

KINDS = st.sampled_from([KIND, POD, SERVICE])
OUTCOMES = st.sampled_from([("Running", None), ("Succeeded", 0), ("Failed", 1), *[("Failed", 137)] * 3])
SELDOM = st.sampled_from([False] * 4 + [True])


class JobLife(RuleBasedStateMachine):
    """Users, kubelets, a slow network and a mortal operator, around one job."""

    @initialize(
        workers=st.integers(1, 3),
        leader=st.sampled_from(["Chief", "Worker"]),
        restart=st.sampled_from(["Never", *["OnFailure", "ExitCode"] * 3]),
        limit=st.sampled_from([None, None, 0, 2]),
        clean=st.sampled_from(["None", "Running", "All"]),
    )
    def begin(self, workers, leader, restart, limit, clean):
        self.api = Api()
        policy = {"cleanPodPolicy": clean} | ({} if limit is None else {"backoffLimit": limit})
        counts = {"Worker": workers, "PS": 1} | ({"Chief": 1} if leader == "Chief" else {})
        self.api.put(KIND, job(run_policy=policy, restart=restart, **counts))
        self.operator = SimulatedOperator(self.api)
        self.operator.reconcile()
        self.end: dict[str, dict] = {}
        self.failures: dict[tuple[str, int], int] = {}
        self.most = {"worker": workers, "ps": 1, "chief": 1}

    @property
    def job(self) -> dict | None:
        return self.api.objects.get((KIND, "mnist"))

    # The operator and its network

    @rule(kind=KINDS, count=st.integers(1, 6))
    def some_news_comes(self, kind, count):
        self.operator.deliver(kind, count)

    @rule()
    def all_news_of_pods_comes(self):
        self.operator.deliver(POD, 10_000)

    @rule()
    def all_news_comes_and_is_dealt_with(self):
        for kind in (KIND, POD, SERVICE):
            self.operator.deliver(kind, 10_000)
        self.operator.reconcile()

    @rule(kind=KINDS)
    def watch_starts_over(self, kind):
        self.operator.relist(kind)

    @rule()
    def reconcile(self):
        self.operator.reconcile()

    @rule(budget=st.integers(0, 4))
    def operator_dies_at_work(self, budget):
        self.operator.reconcile(budget=budget)

    @rule(lose=st.integers(1, 6))
    def an_answer_is_lost(self, lose):
        self.operator.reconcile(lose=lose)

    @rule()
    def operator_restarts(self):
        self.operator.start()

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def time_passes(self, seconds):
        self.operator.pass_time(seconds)

    # Kubelets

    @precondition(lambda self: self.api.of(POD))
    @rule(data=st.data(), outcome=OUTCOMES)
    def a_pod_goes_on(self, data, outcome):
        live = [name for name, pod in self.api.of(POD).items() if phase_of(pod) in ("Pending", "Running")]
        if not live:
            return
        pod, (phase, code) = self.api.objects[POD, data.draw(st.sampled_from(live))], outcome
        if phase == "Failed":
            self.failures[task_of(pod)] = self.failures.get(task_of(pod), 0) + 1
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        status = {"phase": phase, "containerStatuses": [{"name": "tensorflow", "restartCount": 0, "state": state}]}
        self.api.put(POD, {**pod, "status": status})

    @rule()
    def terminating_pods_go(self):
        for name, pod in self.api.of(POD).items():
            if pod["metadata"].get("deletionTimestamp"):
                self.api.remove(POD, name)

    # Users

    @precondition(lambda self: self.api.of(POD))
    @rule(data=st.data())
    def somebody_deletes_a_pod(self, data):
        name = data.draw(st.sampled_from(sorted(self.api.of(POD))))
        pod = self.api.objects[POD, name]
        self.api.put(POD, {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}})

    @precondition(lambda self: self.job)
    @rule(workers=st.integers(1, 4))
    def scale(self, workers):
        specs = self.job["spec"]["tfReplicaSpecs"]
        specs = {**specs, "Worker": {**specs["Worker"], "replicas": workers}}
        self.most["worker"] = max(self.most["worker"], workers)
        self.api.put(KIND, {**self.job, "spec": {**self.job["spec"], "tfReplicaSpecs": specs}})

    @precondition(lambda self: self.job)
    @rule(value=SELDOM)
    def suspend(self, value):
        policy = {**self.job["spec"]["runPolicy"], "suspend": value}
        self.api.put(KIND, {**self.job, "spec": {**self.job["spec"], "runPolicy": policy}})

    # What must hold

    @invariant()
    def the_end_never_changes(self):
        status = (self.job or {}).get("status") or {}
        now = {kind: is_true(status, kind) for kind in ("Succeeded", "Failed")}
        assert not all(now.values())
        if any(self.end.values()):
            assert now == self.end
        self.end = now

    @invariant()
    def no_failure_is_counted_twice(self):
        for name, memory in (((self.job or {}).get("status") or {}).get("tasks") or {}).items():
            kind, _, index = name.rpartition("-")
            assert memory.get("restarts", 0) <= self.failures.get((kind, int(index)), 0)

    @invariant()
    def there_are_never_more_than_asked_for(self):
        for pod in self.api.of(POD).values():
            kind, index = task_of(pod)
            assert index < self.most[kind]

    def teardown(self):
        if not hasattr(self, "api"):
            return
        for _ in range(12):
            for kind in (KIND, POD, SERVICE):
                self.operator.deliver(kind, 10_000)
            plan = self.operator.reconcile()
            self.terminating_pods_go()
            self.operator.pass_time(61)
            self.operator.sweep()
        self.check_the_end(plan)

    def check_the_end(self, plan):
        """The world has come to rest as it must."""
        assert plan is not None
        assert (plan.status, plan.create, plan.delete) == (None, (), ()), "the job does not come to rest"
        status = self.job["status"]
        wanted = {
            f"mnist-{kind.lower()}-{index}"
            for kind, spec in self.job["spec"]["tfReplicaSpecs"].items()
            for index in range(spec["replicas"])
        }
        done = {f"mnist-{name}" for name, memory in (status.get("tasks") or {}).items() if memory.get("succeeded")}
        pods = set(self.api.of(POD))
        if is_finished(status):
            phases = {pod.get("status", {}).get("phase", "Pending") for pod in self.api.of(POD).values()}
            clean = self.job["spec"]["runPolicy"]["cleanPodPolicy"]
            assert clean != "All" or not pods
            assert clean != "Running" or phases <= {"Succeeded", "Failed"}
        elif self.job["spec"]["runPolicy"].get("suspend"):
            assert not pods
            assert not self.api.of(SERVICE)
        else:
            assert pods <= wanted
            assert wanted - pods <= done
            assert set(self.api.of(SERVICE)) >= pods


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(
    max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
