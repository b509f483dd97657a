"""Random sequences of what can happen to a job: the invariants hold in every order.

At the end of each sequence nothing changes any more, and the status agrees with the pods. Once the job is deleted,
the operator remembers nothing of it. KF_SEQUENCES sets the number of sequences.
"""

import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, rule

from kf_spawner.k8s.conditions import find, is_true
from kf_spawner.kube import Forbidden, Invalid
from kf_spawner.operator.pace import AT_ONCE
from kf_spawner.tfjob import plan
from kf_spawner.tfjob.names import CANONICAL_TYPE, KIND
from kf_spawner.tfjob.plan import SLICE
from kf_spawner.tfjob.pods import node_of
from kf_spawner.tfjob.pods import phase as phase_of
from kf_spawner.tfjob.status import is_finished
from tests.operator.simulation import CLAIM, POD, SERVICE, Api, SimulatedOperator, owner_of, task_of
from tests.operator.state_machine import NODES, JobMachine
from tests.tfjob.builders import claim, job

# The same sequences each time; new random ones each time if their number is given.
GIVEN = os.environ.get("KF_SEQUENCES")
SEQUENCES = int(GIVEN or 500)
STEPS = 40

# Words in the message of a failed job, and what must have happened before.
CAUSES = {
    "replica(s) failed": lambda machine, uid: machine.was_harmed(uid),
    "maxRestarts allows": lambda machine, uid: machine.was_harmed(uid),
    "backoff limit": lambda machine, uid: machine.was_harmed(uid),
    "longer than specified deadline": lambda machine, uid: "activeDeadlineSeconds" in machine.policy,
    "did not start within": lambda machine, uid: "startDeadlineSeconds" in machine.policy,
    "cannot be created: no pods today": lambda machine, uid: uid in machine.api.refused,
}


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Thousands of requests fail here on purpose: their warnings are not shown."""
    caplog.set_level(logging.ERROR, "kf_spawner")


class CheckedJobMachine(JobMachine):
    """The invariants, and the checks once nothing changes any more."""

    @invariant()
    def the_outcome_never_changes(self):
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
            message = find(status, "Failed")["message"]
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
    def there_are_never_more_pods_than_replicas(self):
        for pod in self.api.of(POD).values():
            kind, index = task_of(pod)
            assert index < self.most[owner_of(pod)][kind]

    @rule()
    def everything_settles(self):
        sizes: list[int] = []
        while len(set(sizes[-3:])) > 1 or len(sizes) < 3:  # the status names a refused pod one turn later
            assert len(sizes) < 40, "the job does not settle"
            self.all_changes_arrive()
            self.operator.take_turns(limit=20)
            self.terminating_pods_end()
            self.api.collect_garbage()
            self.operator.pass_time(61)
            self.operator.sweep()
            sizes.append(sum(map(len, self.api.log.values())))
        self.check_settled()

    def check_settled(self):
        uid = self.job["metadata"]["uid"] if self.job else ""
        pods = {name: pod for name, pod in self.api.of(POD).items() if owner_of(pod) == uid}
        services = self.api.of(SERVICE)
        # Pods of a deleted job can remain only on a lost node.
        self.held = {name: pod for name, pod in self.api.of(POD).items() if name not in pods}
        assert not any(self.api.is_ready(node_of(pod)) for pod in self.held.values())
        if not self.job:
            assert not any(owner_of(service) for service in services.values())
            return
        assert all(owner_of(service) == uid for service in services.values())
        assert all(pod["metadata"].get("deletionTimestamp") for pod in self.held.values())
        status = self.job["status"]
        if is_finished(status):
            self.check_finished(status, pods)
        elif self.policy.get("suspend"):
            assert (pods, services) == ({}, {})
            assert is_true(status, "Suspended")
            assert not is_true(status, "Running")
            assert not any(sum(counts.values()) for counts in status["replicaStatuses"].values())
        else:
            self.check_unfinished(status, pods, services)

    def check_finished(self, status, pods):
        clean = self.policy["cleanPodPolicy"]
        left = {name for name, pod in pods.items() if phase_of(pod) not in ("Succeeded", "Failed")}
        assert status["completionTime"]
        assert not is_true(status, "Running")
        assert "ttlSecondsAfterFinished" not in self.policy
        assert clean != "All" or not pods
        assert clean != "Running" or not left
        assert clean != "PS" or not any(task_of(pods[name])[0] == "ps" for name in left)
        assert not (status.get("stopped") and left)

    def check_unfinished(self, status, pods, services):
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
        plan.SLICE = SLICE
        if not hasattr(self, "operator"):
            return
        try:
            self.api.refusal = None
            self.everything_settles()
            self.delete()
            for node in NODES:
                self.api.set_ready(node, True)
            self.everything_settles()
            for kind in (POD, SERVICE):
                for name in self.api.of(kind):
                    self.api.terminate(kind, name)
            self.everything_settles()
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


def test_a_pod_that_came_and_went_unseen_is_created_again(operator):
    operator.api.put(KIND, job(Worker=1))
    see_all(operator)
    operator.take_turns()
    operator.api.remove(POD, "mnist-worker-0")
    operator.relist(POD)
    operator.take_turns(limit=5)
    assert not operator.api.of(POD), "the operator cannot know"
    operator.pass_time(16)
    operator.sweep()
    operator.take_turns(limit=5)
    assert operator.api.of(POD)


def test_a_large_job_takes_turns_and_few_requests_at_once(operator):
    """Without any news in between: what is left follows by itself."""
    count = 2 * SLICE + 3
    operator.api.put(KIND, job(Worker=count))
    see_all(operator)
    operator.take_turns(limit=2)
    assert len(operator.api.of(POD)) == 2 * SLICE
    assert operator.client.most <= AT_ONCE + 1, "the status is written meanwhile"
    assert operator.take_turns(limit=10) == 1
    assert len(operator.api.of(POD)) == len(operator.api.of(SERVICE)) == count


def test_a_large_job_that_a_quota_stops_is_not_tried_without_pause(operator):
    operator.api.refusal = Forbidden
    operator.api.put(KIND, job(Worker=2 * SLICE + 3))
    see_all(operator)
    assert operator.take_turns(limit=10) <= 4, "the services are made"
    for _ in range(3):
        operator.pass_time(61)
        requests = operator.client.requests
        assert operator.take_turns(limit=10) == 1
        assert operator.client.requests - requests <= 2 * SLICE
    operator.api.refusal = None
    operator.pass_time(61)
    operator.take_turns(limit=10)
    assert len(operator.api.of(POD)) == 2 * SLICE + 3


def with_claims(count: int) -> dict:
    spec = job(Worker=count)
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("data")]
    return spec


def test_a_replica_is_made_again_with_its_claim_though_the_quota_of_claims_is_full(operator):
    operator.api.quota = {CLAIM: 1}
    operator.api.put(KIND, with_claims(1))
    see_all(operator)
    operator.take_turns(limit=5)
    operator.api.remove(POD, "mnist-worker-0")
    see_all(operator)
    operator.take_turns(limit=5)
    assert operator.api.of(POD)


def test_claims_that_exist_are_no_progress_of_a_large_job_without_pods(operator):
    operator.api.put(KIND, with_claims(2 * SLICE))
    operator.api.refusal = Forbidden
    see_all(operator)
    operator.take_turns(limit=10)
    for _ in range(3):
        operator.pass_time(61)
        assert operator.take_turns(limit=10) == 1


def test_a_claim_of_a_class_that_jobs_may_not_use_is_not_made_later_either(operator):
    operator.api.put(KIND, with_claims(1))
    see_all(operator)
    operator.take_turns(limit=5)
    edited = with_claims(2)["spec"]
    edited["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("data", storageClassName="gold")]
    operator.api.put(KIND, {**operator.api.objects[KIND, "mnist"], "spec": edited})
    for _ in range(3):
        see_all(operator)
        operator.take_turns(limit=5)
        operator.pass_time(61)
    assert set(operator.api.of(POD)) == {"mnist-worker-0"}
    assert set(operator.api.of(CLAIM)) == {"data-mnist-worker-0"}
    created = find(operator.api.objects[KIND, "mnist"]["status"], "Created")
    assert "'gold', which jobs may not use" in created["message"]


def test_a_refused_type_does_not_starve_another_one(operator):
    operator.api.refusal, operator.api.refuses = Forbidden, lambda pod: task_of(pod)[0] == "worker"
    operator.api.put(KIND, job(Worker=4 * SLICE, Evaluator=1))
    see_all(operator)
    for _ in range(6):
        operator.take_turns(limit=10)
        operator.pass_time(61)
    assert list(operator.api.of(POD)) == ["mnist-evaluator-0"]
    before = operator.client.requests
    assert operator.take_turns(limit=10) == 1
    assert operator.client.requests - before == SLICE, "those that were refused are tried in turn"
    operator.api.refusal = None
    operator.pass_time(61)
    operator.take_turns(limit=10)
    assert len(operator.api.of(POD)) == 4 * SLICE + 1


def test_adoptions_that_are_refused_are_told_and_not_tried_without_pause(operator):
    operator.api.put(KIND, job(Worker=SLICE + 4))
    see_all(operator)
    operator.take_turns(limit=5)
    operator.api.remove_with_orphans(operator.api.objects[KIND, "mnist"])
    operator.api.keeps_owners = True
    operator.api.put(KIND, {**job(Worker=SLICE + 4), "metadata": {**job()["metadata"], "uid": "another"}})
    see_all(operator)
    for _ in range(5):
        assert operator.take_turns(limit=10) <= 1
        operator.pass_time(61)
    status = operator.api.objects[KIND, "mnist"]["status"]
    assert "exists that this job cannot adopt: no new owners today" in find(status, "Created")["message"]


TestJobSequences = pytest.mark.timeout(900)(CheckedJobMachine.TestCase)
TestJobSequences.settings = settings(
    max_examples=SEQUENCES,
    stateful_step_count=STEPS,
    derandomize=not GIVEN,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
