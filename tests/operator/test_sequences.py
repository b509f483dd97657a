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

from kf_spawner.tfjob.names import CANONICAL_TYPE, KIND
from kf_spawner.tfjob.pods import phase as phase_of
from kf_spawner.tfjob.status import is_finished, is_true
from tests.operator.simulation import POD, SERVICE, Api, SimulatedOperator, task_of
from tests.tfjob.world import job

SEQUENCES = int(os.environ.get("KF_SEQUENCES", "300"))
STEPS = 40

OUTCOMES = st.sampled_from([("Running", None)] * 2 + [("Succeeded", 0), ("Failed", 1)] + [("Failed", 137)] * 2)
SELDOM = st.sampled_from([False] * 4 + [True])
MEANWHILE = st.sampled_from(["news", "pods end", "scale", "suspend", "delete", "make again"])


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Warnings about requests that fail are what is wanted here, thousands of them."""
    caplog.set_level(logging.ERROR, "kf_spawner")


class JobLife(RuleBasedStateMachine):
    """Users, kubelets, a slow network and a mortal operator, around the jobs of one name."""

    @initialize(
        workers=st.integers(0, 3),
        others=st.sampled_from([{}, {"PS": 1}, {"Chief": 1}, {"Master": 1, "PS": 2}, {"Chief": 1, "Evaluator": 1}]),
        restart=st.sampled_from(["Never", "Always", *["OnFailure", "ExitCode"] * 2]),
        policy=st.fixed_dictionaries(
            {"cleanPodPolicy": st.sampled_from(["None", "Running", "All"])},
            optional={
                "backoffLimit": st.sampled_from([0, 2]),
                "activeDeadlineSeconds": st.sampled_from([50, 500]),
                "ttlSecondsAfterFinished": st.sampled_from([0, 100]),
                "suspend": SELDOM,
            },
        ),
        success=st.sampled_from(["", "AllWorkers"]),
    )
    def begin(self, workers, others, restart, policy, success):
        counts = {"Worker": workers or 1} | others if workers or not others else others
        self.template = job(run_policy=policy, restart=restart, **counts)
        self.template["spec"]["successPolicy"] = success
        del self.template["metadata"]["uid"]
        self.api = Api()
        self.most: dict[str, dict[str, int]] = {}
        self.ends: dict[str, str] = {}
        self.failures: dict[tuple[str, str], int] = {}
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

    def work(self, **faults) -> None:
        self.operator.take_turns(**faults)

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

    @rule(budget=st.integers(0, 6))
    def operator_dies_at_work(self, budget):
        self.work(budget=budget)

    @rule(lose=st.integers(1, 6))
    def an_answer_is_lost(self, lose):
        self.work(lose=lose)

    @rule(number=st.integers(1, 6), what=MEANWHILE)
    def something_happens_while_it_works(self, number, what):
        acts = {
            "news": self.all_news_comes,
            "pods end": self.terminating_pods_go,
            "scale": lambda: self.scale_to(1),
            "suspend": lambda: self.set_suspend(True),
            "delete": self.delete,
            "make again": lambda: (self.delete(), self.make()),
        }
        self.work(meanwhile=(number, acts[what]))

    @rule()
    def operator_restarts(self):
        self.operator.die()

    @rule(seconds=st.sampled_from([1, 10, 100]))
    def time_passes(self, seconds):
        self.operator.pass_time(seconds)

    @rule(value=SELDOM)
    def a_quota_comes_or_goes(self, value):
        self.api.has_quota = not value

    # Kubelets and the garbage collector

    @precondition(lambda self: self.api.of(POD))
    @rule(data=st.data(), outcome=OUTCOMES)
    def a_pod_goes_on(self, data, outcome):
        live = [name for name, pod in self.api.of(POD).items() if phase_of(pod) in ("Pending", "Running")]
        if not live:
            return
        pod, (phase, code) = self.api.objects[POD, data.draw(st.sampled_from(live))], outcome
        if phase == "Failed":
            failed = (owner_of(pod), "-".join(map(str, task_of(pod))))
            self.failures[failed] = self.failures.get(failed, 0) + 1
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        status = {"phase": phase, "containerStatuses": [{"name": "tensorflow", "restartCount": 0, "state": state}]}
        self.api.put(POD, {**pod, "status": status})

    @rule()
    def terminating_pods_go(self):
        for name, pod in self.api.of(POD).items():
            if pod["metadata"].get("deletionTimestamp"):
                self.api.remove(POD, name)

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
            self.edit(runPolicy={**self.job["spec"]["runPolicy"], "suspend": value})

    @rule(really=SELDOM)
    def delete(self, really=True):
        if self.job and really:
            self.api.terminate(KIND, "mnist")

    @rule()
    def make(self):
        if not self.job:
            self.api.put(KIND, self.template)
            self.note_counts()

    def edit(self, **fields) -> None:
        self.api.put(KIND, {**self.job, "spec": {**self.job["spec"], **fields}})
        self.note_counts()

    def note_counts(self) -> None:
        most = self.most.setdefault(self.job["metadata"]["uid"], {})
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
            if ends:
                self.ends[uid] = ends[0]

    @invariant()
    def a_condition_is_there_once(self):
        kinds = [entry["type"] for entry in ((self.job or {}).get("status") or {}).get("conditions", ())]
        assert len(kinds) == len(set(kinds))
        assert not {"Running", "Restarting"} <= set(kinds)

    @invariant()
    def no_failure_is_counted_twice(self):
        for name, memory in (((self.job or {}).get("status") or {}).get("tasks") or {}).items():
            assert memory.get("restarts", 0) <= self.failures.get((self.job["metadata"]["uid"], name), 0)

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
        pods, services = self.api.of(POD), self.api.of(SERVICE)
        if not self.job:
            assert not pods
            assert not services
            return
        status, policy = self.job["status"], self.job["spec"]["runPolicy"]
        if is_finished(status):
            self.check_end(status, policy, pods)
        elif policy.get("suspend"):
            assert (pods, services) == ({}, {})
            assert is_true(status, "Suspended")
            assert not is_true(status, "Running")
            assert not any(sum(counts.values()) for counts in status["replicaStatuses"].values())
        else:
            self.check_life(status, pods, services)

    def check_end(self, status, policy, pods):
        assert status["completionTime"]
        assert not is_true(status, "Running")
        phases = {phase_of(pod) for pod in pods.values()}
        assert policy["cleanPodPolicy"] != "All" or not pods
        assert policy["cleanPodPolicy"] != "Running" or phases <= {"Succeeded", "Failed"}
        assert "ttlSecondsAfterFinished" not in policy

    def check_life(self, status, pods, services):
        wanted = {f"mnist-{kind.lower()}-{index}" for kind, count in self.counts.items() for index in range(count)}
        done = {f"mnist-{name}" for name, memory in status.get("tasks", {}).items() if memory.get("succeeded")}
        ended = {name for name, pod in pods.items() if phase_of(pod) == "Succeeded"}
        active = {name for name, pod in pods.items() if phase_of(pod) == "Running"}
        assert not is_true(status, "Suspended")
        assert set(pods) <= wanted
        assert set(pods) <= set(services)
        assert ended <= done
        if self.api.has_quota:
            assert wanted - set(pods) <= done
        elif wanted - set(pods) - done:
            assert status["conditions"][0]["reason"] == "TFJobCreateRefused"
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
            self.api.has_quota = True
            self.all_comes_to_rest()
            self.delete()
            self.all_comes_to_rest()
            self.operator.pass_time(100)
            self.operator.sweep()
            self.operator.take_turns(limit=20)
            assert self.operator.memory() == {}
        finally:
            self.operator.close()


def owner_of(pod: dict) -> str:
    return pod["metadata"]["ownerReferences"][0]["uid"]


TestJobLife = JobLife.TestCase
TestJobLife.settings = settings(
    max_examples=SEQUENCES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
)
