"""Random sequences of what can happen to a job: whatever the order, what must never be, never is.

Each sequence ends with a world that comes to rest, a status that says what the pods say, and, once the job is
deleted, an operator that remembers nothing of it. KF_SEQUENCES sets how many are tried.
"""

import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kf_spawner.kube import Forbidden, Invalid
from kf_spawner.tfjob.names import CANONICAL_TYPE, KIND
from kf_spawner.tfjob.pods import node_of, restarts_in_place
from kf_spawner.tfjob.pods import phase as phase_of
from kf_spawner.tfjob.status import find_condition, is_finished, is_true
from tests.operator.simulation import POD, SERVICE, Api, SimulatedOperator, owner_of, task_of
from tests.tfjob.world import claim, job

# The same ones each time; others, and others each time, when their number is given.
GIVEN = os.environ.get("KF_SEQUENCES")
SEQUENCES = int(GIVEN or 2000)
STEPS = 40
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
MEANWHILE = ["news", "pods end", "scale", "suspend", "resume", "delete", "make again", "adopt", "a pod fails"]
# What the message of a failed job may say, and what must have been for it.
CAUSES = {
    "replica(s) failed": lambda life, uid: life.was_harmed(uid),
    "maxRestarts allows": lambda life, uid: life.was_harmed(uid),
    "backoff limit": lambda life, uid: life.was_harmed(uid),
    "longer than specified deadline": lambda life, uid: "activeDeadlineSeconds" in life.policy,
    "did not start within": lambda life, uid: "startDeadlineSeconds" in life.policy,
    "cannot be made: no pods today": lambda life, uid: uid in life.api.refused,
}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Warnings about requests that fail are what is wanted here, thousands of them."""
    caplog.set_level(logging.ERROR, "kf_spawner")


class JobLife(RuleBasedStateMachine):
    """Users, kubelets, a slow network and a mortal operator, around the jobs of one name."""

    @initialize(
        workers=st.integers(0, 3),
        others=OTHERS,
        restart=st.sampled_from(["Never", "Always", *["OnFailure", "ExitCode"] * 2]),
        policy=RUN_POLICIES,
        of_replicas=REPLICA_OPTIONS,
        of_job=JOB_OPTIONS,
    )
    def begin(self, workers, others, restart, policy, of_replicas, of_job):
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
        self.make()
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
    def some_news_comes(self, data, count, twice):
        self.operator.deliver(data.draw(st.sampled_from(self.operator.kinds)), count, twice=twice)

    @rule()
    def all_news_comes(self):
        for kind in self.operator.kinds:
            self.operator.deliver(kind)

    @rule()
    def all_news_comes_and_is_dealt_with(self):
        self.all_news_comes()
        self.operator.take_turns(limit=5)

    @rule(data=st.data())
    def watch_starts_over(self, data):
        self.operator.relist(data.draw(st.sampled_from(self.operator.kinds)))

    @rule(number=st.integers(1, 6))
    def it_works(self, number):
        self.operator.take_turns(limit=number)

    @rule(budget=st.integers(0, 6), fresh=st.booleans())
    def operator_dies_at_work(self, budget, fresh):
        if fresh:
            self.all_news_comes()
        self.work(budget=budget)

    @rule(lose=st.integers(1, 6), fresh=st.booleans())
    def an_answer_is_lost(self, lose, fresh):
        if fresh:
            self.all_news_comes()
        self.work(lose=lose)

    @rule(number=st.integers(1, 6), what=st.sampled_from(MEANWHILE), known=st.booleans())
    def something_happens_while_it_works(self, number, what, known):
        acts = {
            "news": self.all_news_comes,
            "pods end": self.terminating_pods_go,
            "scale": lambda: self.scale_to(1),
            "suspend": lambda: self.set_suspend(True),
            "resume": lambda: self.set_suspend(False),
            "delete": self.delete,
            "make again": lambda: (self.delete(), self.make()),
            "adopt": lambda: (self.delete_with_orphans(), self.make()),
            "a pod fails": lambda: self.go_on(next(iter(self.live_pods()), None), "Failed", 137),
        }

        def act():
            acts[what]()
            if known:
                self.all_news_comes()

        self.all_news_comes()
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
    def a_pod_goes_on(self, data, outcome, node):
        phase, code, reason = outcome
        self.go_on(data.draw(st.sampled_from(self.live_pods())), phase, code, node=node, reason=reason)

    @precondition(lambda self: self.live_pods())
    @rule(data=st.data())
    def a_container_starts_anew_in_its_pod(self, data):
        self.go_on(data.draw(st.sampled_from(self.live_pods())), "Running", anew=1)

    def go_on(self, name, phase, code=None, *, node=NODES[0], reason="", anew=0):
        if name is None:
            return
        pod = self.api.objects[POD, name]
        if phase == "Failed" or anew:
            failed = (pod["metadata"]["uid"], "-".join(map(str, task_of(pod))))
            self.failures[failed] = self.failures.get(failed, 0) + 1
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "tensorflow", "restartCount": restarts_in_place(pod) + anew, "state": state}
        status = {"phase": phase, "containerStatuses": [container], **({"reason": reason} if reason else {})}
        self.api.put(POD, {**pod, "spec": {"nodeName": node, **pod["spec"]}, "status": status})

    @rule()
    def terminating_pods_go(self):
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
    def make(self):
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

    # What must hold at every moment

    @invariant()
    def the_end_never_changes(self):
        if self.job:
            status, uid = self.job.get("status") or {}, self.job["metadata"]["uid"]
            ends = [kind for kind in ("Succeeded", "Failed") if is_true(status, kind)]
            assert len(ends) < 2
            assert self.ends.get(uid) in (None, *ends)
            if ends and uid not in self.ends:
                self.ends[uid] = ends[0]
                self.check_cause(uid, status)

    def check_cause(self, uid, status):
        if is_true(status, "Failed"):
            message = find_condition(status, "Failed")["message"]
            may_be = next((may_be for words, may_be in CAUSES.items() if words in message), None)
            assert may_be, message
            assert may_be(self, uid), message
        elif "Evaluator" in self.counts and self.policy.get("waitForEvaluator"):
            memory = status["tasks"]["evaluator-0"]
            assert memory.get("succeeded") or memory.get("pod"), "the evaluator was not waited for"

    @invariant()
    def a_condition_is_there_once(self):
        kinds = [entry["type"] for entry in ((self.job or {}).get("status") or {}).get("conditions", ())]
        assert len(kinds) == len(set(kinds))
        assert not {"Running", "Restarting"} <= set(kinds)

    @invariant()
    def no_failure_is_counted_twice(self):
        for name, memory in (((self.job or {}).get("status") or {}).get("tasks") or {}).items():
            restarts = memory.get("restarts", 0)
            assert restarts <= self.failures_of(name)
            spec = self.job["spec"]["tfReplicaSpecs"][CANONICAL_TYPE[name.rpartition("-")[0]]]
            assert restarts <= spec.get("maxRestarts", restarts)

    def failures_of(self, name: str) -> int:
        """Those of the pods that the job has had for the task of this name, whoever had them before."""
        uid = self.job["metadata"]["uid"]
        failures = [(pod, count) for (pod, task), count in self.failures.items() if task == name]
        return sum(count for pod, count in failures if uid in self.api.owners_of(pod))

    @invariant()
    def there_are_never_more_than_asked_for(self):
        for pod in self.api.of(POD).values():
            kind, index = task_of(pod)
            assert index < self.most[owner_of(pod)][kind]

    # What must come of it in the end

    @rule()
    def all_comes_to_rest(self):
        sizes: list[int] = []
        while len(set(sizes[-3:])) > 1 or len(sizes) < 3:  # a refused pod is told one turn later
            assert len(sizes) < 40, "the job does not come to rest"
            self.all_news_comes()
            self.operator.take_turns(limit=20)
            self.terminating_pods_go()
            self.api.collect_garbage()
            self.operator.pass_time(61)
            self.operator.sweep()
            sizes.append(sum(map(len, self.api.log.values())))
        self.check_rest()

    def check_rest(self):
        uid = self.job["metadata"]["uid"] if self.job else ""
        pods = {name: pod for name, pod in self.api.of(POD).items() if owner_of(pod) == uid}
        services = self.api.of(SERVICE)
        # Of a job that is gone, only a lost node can still hold pods.
        self.held = {name: pod for name, pod in self.api.of(POD).items() if name not in pods}
        assert not any(self.api.is_ready(node_of(pod)) for pod in self.held.values())
        if not self.job:
            assert not any(owner_of(service) for service in services.values())
            return
        assert all(owner_of(service) == uid for service in services.values())
        assert all(pod["metadata"].get("deletionTimestamp") for pod in self.held.values())
        status = self.job["status"]
        if is_finished(status):
            self.check_end(status, pods)
        elif self.policy.get("suspend"):
            assert (pods, services) == ({}, {})
            assert is_true(status, "Suspended")
            assert not is_true(status, "Running")
            assert not any(sum(counts.values()) for counts in status["replicaStatuses"].values())
        else:
            self.check_life(status, pods, services)

    def check_end(self, status, pods):
        clean = self.policy["cleanPodPolicy"]
        left = {name for name, pod in pods.items() if phase_of(pod) not in ("Succeeded", "Failed")}
        assert status["completionTime"]
        assert not is_true(status, "Running")
        assert "ttlSecondsAfterFinished" not in self.policy
        assert clean != "All" or not pods
        assert clean != "Running" or not left
        assert clean != "PS" or not any(task_of(pods[name])[0] == "ps" for name in left)
        assert not (status.get("stopped") and left)

    def check_life(self, status, pods, services):
        wanted = {f"mnist-{kind.lower()}-{index}" for kind, count in self.counts.items() for index in range(count)}
        done = {f"mnist-{name}" for name, memory in status.get("tasks", {}).items() if memory.get("succeeded")}
        ended = {name for name, pod in pods.items() if phase_of(pod) == "Succeeded"}
        active = {name for name, pod in pods.items() if phase_of(pod) == "Running"}
        assert not is_true(status, "Suspended")
        assert status.get("started") or "startDeadlineSeconds" not in self.policy
        assert set(pods) <= wanted
        assert set(pods) <= set(services)
        assert ended <= done
        if not self.api.refusal:
            assert wanted - set(pods) - set(self.held) <= done
        if wanted - set(pods) - done:
            assert status["conditions"][0]["reason"] == "TFJobCreateRefused"
            assert self.held or "no pods today" in status["conditions"][0]["message"]
        for kind, count in self.counts.items():
            ours = {f"mnist-{kind.lower()}-{index}" for index in range(count)}
            told = status["replicaStatuses"][CANONICAL_TYPE[kind.lower()]]
            assert (told["active"], told["succeeded"]) == (len(ours & active - done), len(ours & done))
        leaders = {"chief", "master"} & {kind.lower() for kind in self.counts} or {"worker"}
        if any(task_of(pods[name])[0] in leaders for name in active):
            assert is_true(status, "Running")

    def teardown(self):
        if not hasattr(self, "operator"):
            return
        try:
            self.api.refusal = None
            self.all_comes_to_rest()
            self.delete()
            for node in NODES:
                self.api.set_ready(node, True)
            self.all_comes_to_rest()
            for kind in (POD, SERVICE):
                for name in self.api.of(kind):
                    self.api.terminate(kind, name)
            self.all_comes_to_rest()
            self.operator.pass_time(100)
            self.operator.sweep()
            self.operator.take_turns(limit=20)
            assert self.operator.memory() == {}
        finally:
            self.operator.close()


# Two sequences that chance seldom finds


@pytest.fixture
def operator():
    operator = SimulatedOperator(Api())
    yield operator
    operator.close()


def see_all(operator) -> None:
    for kind in operator.kinds:
        operator.deliver(kind)


def test_a_job_does_not_inherit_what_its_namesake_was_refused(operator):
    operator.api.refusal = Invalid
    operator.api.put(KIND, job(Worker=1))
    see_all(operator)
    operator.take_turns()
    operator.api.remove(KIND, "mnist")
    operator.api.collect_garbage()
    operator.api.put(KIND, {**job(Worker=1), "metadata": {**job(Worker=1)["metadata"], "uid": "another"}})
    operator.api.refusal = None
    see_all(operator)
    operator.take_turns(limit=5)
    assert not is_finished(operator.api.objects[KIND, "mnist"]["status"])
    assert operator.api.of(POD)


def test_a_pod_that_came_and_went_unseen_is_made_again(operator):
    operator.api.put(KIND, job(Worker=1))
    see_all(operator)
    operator.take_turns()
    operator.api.remove(POD, "mnist-worker-0")
    operator.relist(POD)
    operator.take_turns(limit=5)
    assert not operator.api.of(POD), "nobody has told the operator"
    operator.pass_time(16)
    operator.sweep()
    operator.take_turns(limit=5)
    assert operator.api.of(POD)


TestJobLife = pytest.mark.timeout(900)(JobLife.TestCase)
TestJobLife.settings = settings(
    max_examples=SEQUENCES,
    stateful_step_count=STEPS,
    derandomize=not GIVEN,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
