"""Fields of our own, which no old manifest has: what users of the original asked for and never got."""

import pytest

from kf_spawner.tfjob.plan import Refusal
from tests.tfjob.upstream import upstream
from tests.tfjob.world import World, claim, job, running, started, suspend


def with_replicas(spec: dict, kind: str = "Worker", **fields) -> dict:
    spec["spec"]["tfReplicaSpecs"][kind].update(fields)
    return spec


# maxRestarts


@upstream("#1589")
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_replica_is_started_anew_so_often_and_no_more(limit):
    world = started(with_replicas(job(Worker=2, PS=1, restart="ExitCode"), maxRestarts=limit))
    for task in ("worker-0", "worker-1"):
        for _ in range(limit):
            world.put(task, "Failed", code=137).settle().later(60).settle().put_all("Running").settle()
    assert world.state == "Running"
    world.put("worker-1", "Failed", code=137).settle()
    times = "1 time" if limit == 1 else f"{limit} times"
    assert world.message("Failed") == (
        "TFJob kf-admin/mnist has failed because mnist-worker-1 failed, and was restarted "
        f"{times} before, as often as its maxRestarts allows"
    )
    assert world.counts("Worker") == (0, 0, 1)
    assert world.tasks == {"worker-1"}


@upstream("#1589")
@pytest.mark.parametrize(("restarts", "failed"), [(2, False), (3, True)])
def test_containers_restarted_in_place_count_too(restarts, failed):
    world = started(with_replicas(job(Worker=1, restart="OnFailure"), maxRestarts=2))
    world.put("worker-0", "Running", restarts=restarts).settle()
    assert ("Failed" in world.true) == failed
    assert world.tasks == (set() if failed else {"worker-0"})


def test_a_drained_pod_does_not_count():
    world = started(with_replicas(job(Worker=1, restart="OnFailure"), maxRestarts=0))
    world.terminate("worker-0").put("worker-0", "Failed", code=143).settle().remove("worker-0").settle()
    assert world.tasks == {"worker-0"}


# volumeClaimTemplates


@upstream("#949")
def test_each_replica_has_its_claims():
    spec = with_replicas(job(Worker=2, PS=1), volumeClaimTemplates=[claim("data"), claim("cache")])
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"][0]["metadata"]["labels"] = {"team": "vision"}
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["volumes"] = [
        {"name": "data", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    world = World(spec).settle()
    assert sorted(world.claims) == [f"{name}-mnist-worker-{index}" for name in ("cache", "data") for index in (0, 1)]
    made = world.claims["data-mnist-worker-1"]
    assert made["spec"] == claim("data")["spec"]
    assert made["metadata"]["labels"]["team"] == "vision"
    assert made["metadata"]["labels"]["training.kubeflow.org/replica-index"] == "1"
    assert made["metadata"]["ownerReferences"] == world.pods["mnist-worker-1"]["metadata"]["ownerReferences"]
    assert world.pods["mnist-worker-1"]["spec"]["volumes"] == [
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-mnist-worker-1"}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": "cache-mnist-worker-1"}},
    ]
    assert "volumes" not in world.pods["mnist-ps-0"]["spec"]


@upstream("#949")
def test_a_claim_is_made_before_the_pod_and_stays_when_the_pod_goes():
    world = World(with_replicas(job(Worker=1, restart="ExitCode"), volumeClaimTemplates=[claim("data")]))
    assert [child["kind"] for child in world.step().create] == ["PersistentVolumeClaim", "Service", "Pod"]
    world.put("worker-0", "Failed", code=137).step()
    assert [child.kind for child in world.plan.delete] == ["Pod"]
    assert [child["kind"] for child in world.step().create] == ["PersistentVolumeClaim", "Pod"]
    world.job["spec"]["runPolicy"] = {"cleanPodPolicy": "All"}
    world.put("worker-0", "Succeeded", code=0).step()
    assert {child.kind for child in world.plan.delete} == {"Pod", "Service"}


def test_a_claim_that_is_refused_is_told():
    world = World(with_replicas(job(Worker=1), volumeClaimTemplates=[claim("data")]))
    world.step(refusals={"data-mnist-worker-0": Refusal("exceeded quota")})
    assert "data-mnist-worker-0 cannot be created: exceeded quota" in world.message("Created")


# cleanPodPolicy: PS


@upstream("#1059")
@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_parameter_servers_alone_go(end):
    world = running(Chief=1, Worker=2, PS=2, run_policy={"cleanPodPolicy": "PS"})
    world.put("ps-1", "Succeeded", code=0).settle().put("chief-0", end, code=int(end == "Failed")).settle()
    assert world.tasks == {"chief-0", "worker-0", "worker-1", "ps-1"}
    assert {name.removeprefix("mnist-") for name in world.services} == world.tasks


def test_what_a_limit_ends_goes_whatever_its_type():
    world = running(Worker=2, PS=1, run_policy={"cleanPodPolicy": "PS", "activeDeadlineSeconds": 60})
    world.put("worker-1", "Succeeded", code=0).later(60).settle()
    assert world.tasks == {"worker-1"}


# startDeadlineSeconds


def patient(**options) -> World:
    return World(job(Worker=2, run_policy={"startDeadlineSeconds": 60}, **options)).settle()


@upstream("#2001", "#1136")
def test_what_could_not_be_scheduled_is_freed_with_all_else():
    world = patient().put("worker-0", "Running")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit."}
    world.put("worker-1", "Pending", conditions=[condition]).later(59).settle()
    assert world.state == "Running"
    assert "cannot be scheduled: 0/1 nodes fit" in world.later(1).settle().message("Failed")
    assert (world.tasks, world.services) == (set(), {})


def test_it_is_enough_to_have_run_once():
    world = patient(restart="ExitCode").put("worker-0", "Running").settle()
    assert "started" not in world.status
    world.put("worker-0", "Failed", code=137).settle().put("worker-1", "Succeeded", code=0).settle()
    assert world.status["started"]
    world.later(100).settle()
    assert world.status["tasks"] == {
        "worker-0": {
            "restarts": 1,
            "restartTime": "2026-01-02T03:04:05Z",
            "pod": world.status["tasks"]["worker-0"]["pod"],
        },
        "worker-1": {"succeeded": True},
    }
    world.job["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] = 4
    assert world.settle().plan.requeue_after is None
    assert "Failed" not in world.true


def test_resumed_it_must_start_anew():
    world = patient().put_all("Running").settle()
    assert world.status["started"]
    suspend(world, True).settle().later(1000)
    assert suspend(world, False).settle().plan.requeue_after == 60
    assert "did not start within 60 seconds" in world.later(60).settle().message("Failed")


# waitForEvaluator


@pytest.mark.parametrize("wait", [True, False, None])
def test_only_who_asks_for_it_waits_for_the_evaluator(wait):
    world = running(Chief=1, Evaluator=1, run_policy={"waitForEvaluator": wait})
    world.put("chief-0", "Succeeded", code=0).settle()
    assert ("Succeeded" in world.true) != bool(wait)


def test_an_evaluator_that_is_started_anew_is_waited_for():
    world = running(Worker=1, Evaluator=1, restart="ExitCode", run_policy={"waitForEvaluator": True})
    world.put("worker-0", "Succeeded", code=0).put("evaluator-0", "Failed", code=137).settle()
    assert world.state == "Restarting"
    world.put("evaluator-0", "Succeeded", code=0).settle()
    assert world.state == "Succeeded"


def test_an_evaluator_past_its_restarts_has_failed_and_is_not_waited_for():
    spec = job(Chief=1, Evaluator=1, restart="Always", run_policy={"waitForEvaluator": True})
    world = started(with_replicas(spec, "Evaluator", maxRestarts=0))
    world.put("chief-0", "Succeeded", code=0).settle()
    world.put("evaluator-0", "Running", restarts=1).settle()
    assert world.state == "Succeeded"
    assert world.counts("Evaluator") == (0, 0, 1)


def test_the_deadline_counts_while_the_evaluator_is_waited_for():
    policy = {"waitForEvaluator": True, "activeDeadlineSeconds": 60}
    world = running(Worker=1, Evaluator=1, run_policy=policy).put("worker-0", "Succeeded", code=0).settle()
    assert "longer than specified deadline" in world.later(60).settle().message("Failed")


# avoidFailedNodes


def preferences(world: World, task: str) -> list:
    affinity = world.pods[f"mnist-{task}"]["spec"].get("affinity", {}).get("nodeAffinity", {})
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])


@upstream("#2185")
def test_other_nodes_than_those_that_failed_are_preferred():
    spec = job(Worker=2, restart="ExitCode", run_policy={"avoidFailedNodes": True})
    mine = {"weight": 1, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}
    affinity = {"podAffinity": {}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [mine]}}
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["affinity"] = affinity
    world = World(spec).settle()
    for node in ("a", "b", "a"):
        world.put_all("Running").bind("worker-1", node).put("worker-1", "Failed", code=137).settle().later(
            60
        ).settle()
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in ("b", "a")]
    assert preferences(world, "worker-1") == [mine, {"weight": 100, "preference": {"matchFields": fields}}]
    assert world.pods["mnist-worker-1"]["spec"]["affinity"]["podAffinity"] == {}
    assert preferences(world, "worker-0") == [mine]


def test_only_who_asks_for_it_avoids_a_node():
    world = running(Worker=1, restart="ExitCode").bind("worker-0", "a").put("worker-0", "Failed", code=137).settle()
    assert preferences(world, "worker-0") == []
    assert "nodes" not in world.status["tasks"]["worker-0"]


# Where the versions before v1 had the run policy


@pytest.mark.parametrize(("old", "new", "tasks"), [
    ("All", None, set()), ("All", "None", {"worker-0", "ps-0"}), (None, None, {"worker-0", "ps-0"}),
    ("Running", None, {"worker-0"}), ("None", "All", set()),
])  # fmt: skip
def test_the_run_policy_outweighs_the_old_place(old, new, tasks):
    spec = job(Worker=1, PS=1, run_policy={"cleanPodPolicy": new})
    spec["spec"]["cleanPodPolicy"] = old
    world = started(spec).put("worker-0", "Succeeded", code=0).settle()
    assert world.tasks == tasks


def test_times_and_limits_in_the_old_place():
    spec = job(Worker=1, restart="ExitCode")
    spec["spec"].update(activeDeadlineSeconds=60, backoffLimit=0, ttlSecondsAfterFinished=5)
    world = started(spec)
    assert world.plan.requeue_after == 60
    world.put("worker-0", "Failed", code=137).settle()
    assert "backoff limit" in world.message("Failed")
    assert world.plan.requeue_after == 5
