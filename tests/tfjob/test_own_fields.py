"""Fields of our own, which the original operator does not have but its users asked for."""

import pytest

from kf_spawner.tfjob.plan import Refusal
from tests.tfjob.builders import claim, job
from tests.tfjob.model import JobModel, running, started, suspend
from tests.tfjob.upstream import upstream


def with_replicas(spec: dict, kind: str = "Worker", **fields) -> dict:
    spec["spec"]["tfReplicaSpecs"][kind].update(fields)
    return spec


# maxRestarts


@upstream("#1589")
@pytest.mark.parametrize("limit", [0, 1, 3])
def test_a_replica_is_started_anew_so_often_and_no_more(limit):
    model = started(with_replicas(job(Worker=2, PS=1, restart="ExitCode"), maxRestarts=limit))
    for task in ("worker-0", "worker-1"):
        for _ in range(limit):
            model.put(task, "Failed", code=137).settle().later(60).settle().put_all("Running").settle()
    assert model.state == "Running"
    model.put("worker-1", "Failed", code=137).settle()
    times = "1 time" if limit == 1 else f"{limit} times"
    assert model.message("Failed") == (
        "TFJob kf-admin/mnist has failed because mnist-worker-1 failed, and was restarted "
        f"{times} before, as often as its maxRestarts allows"
    )
    assert model.counts("Worker") == (0, 0, 1)
    assert model.tasks == {"worker-1"}


@upstream("#1589")
@pytest.mark.parametrize(("restarts", "failed"), [(2, False), (3, True)])
def test_containers_restarted_in_place_count_too(restarts, failed):
    model = started(with_replicas(job(Worker=1, restart="OnFailure"), maxRestarts=2))
    model.put("worker-0", "Running", restarts=restarts).settle()
    assert ("Failed" in model.true) == failed
    assert model.tasks == (set() if failed else {"worker-0"})


def test_a_drained_pod_does_not_count():
    model = started(with_replicas(job(Worker=1, restart="OnFailure"), maxRestarts=0))
    model.terminate("worker-0").put("worker-0", "Failed", code=143).settle().remove("worker-0").settle()
    assert model.tasks == {"worker-0"}


# volumeClaimTemplates


@upstream("#949")
def test_each_replica_has_its_claims():
    spec = with_replicas(job(Worker=2, PS=1), volumeClaimTemplates=[claim("data"), claim("cache")])
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"][0]["metadata"]["labels"] = {"team": "vision"}
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["volumes"] = [
        {"name": "data", "emptyDir": {}},
        {"name": "tmp", "emptyDir": {}},
    ]
    model = JobModel(spec).settle()
    assert sorted(model.claims) == [f"{name}-mnist-worker-{index}" for name in ("cache", "data") for index in (0, 1)]
    made = model.claims["data-mnist-worker-1"]
    assert made["spec"] == claim("data")["spec"]
    assert made["metadata"]["labels"]["team"] == "vision"
    assert made["metadata"]["labels"]["training.kubeflow.org/replica-index"] == "1"
    assert made["metadata"]["ownerReferences"] == model.pods["mnist-worker-1"]["metadata"]["ownerReferences"]
    assert model.pods["mnist-worker-1"]["spec"]["volumes"] == [
        {"name": "tmp", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data-mnist-worker-1"}},
        {"name": "cache", "persistentVolumeClaim": {"claimName": "cache-mnist-worker-1"}},
    ]
    assert "volumes" not in model.pods["mnist-ps-0"]["spec"]


@upstream("#949")
def test_a_claim_is_made_before_the_pod_and_stays_when_the_pod_goes():
    model = JobModel(with_replicas(job(Worker=1, restart="ExitCode"), volumeClaimTemplates=[claim("data")]))
    assert [child["kind"] for child in model.step().create] == ["PersistentVolumeClaim", "Service", "Pod"]
    model.put("worker-0", "Failed", code=137).step()
    assert [child.kind for child in model.plan.delete] == ["Pod"]
    assert [child["kind"] for child in model.step().create] == ["PersistentVolumeClaim", "Pod"]
    model.job["spec"]["runPolicy"] = {"cleanPodPolicy": "All"}
    model.put("worker-0", "Succeeded", code=0).step()
    assert {child.kind for child in model.plan.delete} == {"Pod", "Service"}


def test_a_claim_that_is_refused_is_told():
    model = JobModel(with_replicas(job(Worker=1), volumeClaimTemplates=[claim("data")]))
    said = "maximum storage usage per PersistentVolumeClaim is 100Gi, but request is 500Ti"
    model.step(refusals={"data-mnist-worker-0": Refusal(said)})
    assert "spec.tfReplicaSpecs.Worker.volumeClaimTemplates[0]: data-mnist-worker-0 " in model.message("Created")
    assert "asks for 500Ti of storage, and a volume claim may have at most 100Gi" in model.message("Created")


# cleanPodPolicy: PS


@upstream("#1059")
@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_parameter_servers_alone_go(end):
    model = running(Chief=1, Worker=2, PS=2, run_policy={"cleanPodPolicy": "PS"})
    model.put("ps-1", "Succeeded", code=0).settle().put("chief-0", end, code=int(end == "Failed")).settle()
    assert model.tasks == {"chief-0", "worker-0", "worker-1", "ps-1"}
    assert {name.removeprefix("mnist-") for name in model.services} == model.tasks


def test_what_a_limit_ends_goes_whatever_its_type():
    model = running(Worker=2, PS=1, run_policy={"cleanPodPolicy": "PS", "activeDeadlineSeconds": 60})
    model.put("worker-1", "Succeeded", code=0).later(60).settle()
    assert model.tasks == {"worker-1"}


# startDeadlineSeconds


def patient(**options) -> JobModel:
    return JobModel(job(Worker=2, run_policy={"startDeadlineSeconds": 60}, **options)).settle()


@upstream("#2001", "#1136")
def test_what_could_not_be_scheduled_is_freed_with_all_else():
    model = patient().put("worker-0", "Running")
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit."}
    model.put("worker-1", "Pending", conditions=[condition]).later(59).settle()
    assert model.state == "Running"
    assert "cannot be scheduled: 0/1 nodes fit" in model.later(1).settle().message("Failed")
    assert (model.tasks, model.services) == (set(), {})


def test_it_is_enough_to_have_run_once():
    model = patient(restart="ExitCode").put("worker-0", "Running").settle()
    assert "started" not in model.status
    model.put("worker-0", "Failed", code=137).settle().put("worker-1", "Succeeded", code=0).settle()
    assert model.status["started"]
    model.later(100).settle()
    assert model.status["tasks"] == {
        "worker-0": {
            "restarts": 1,
            "restartTime": "2026-01-02T03:04:05Z",
            "pod": model.status["tasks"]["worker-0"]["pod"],
        },
        "worker-1": {"succeeded": True},
    }
    model.job["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] = 4
    assert model.settle().plan.requeue_after is None
    assert "Failed" not in model.true


def test_resumed_it_must_start_anew():
    model = patient().put_all("Running").settle()
    assert model.status["started"]
    suspend(model, True).settle().later(1000)
    assert suspend(model, False).settle().plan.requeue_after == 60
    assert "did not start within 60 seconds" in model.later(60).settle().message("Failed")


# waitForEvaluator


@pytest.mark.parametrize("wait", [True, False, None])
def test_only_who_asks_for_it_waits_for_the_evaluator(wait):
    model = running(Chief=1, Evaluator=1, run_policy={"waitForEvaluator": wait})
    model.put("chief-0", "Succeeded", code=0).settle()
    assert ("Succeeded" in model.true) != bool(wait)


def test_an_evaluator_that_is_started_anew_is_waited_for():
    model = running(Worker=1, Evaluator=1, restart="ExitCode", run_policy={"waitForEvaluator": True})
    model.put("worker-0", "Succeeded", code=0).put("evaluator-0", "Failed", code=137).settle()
    assert model.state == "Restarting"
    model.put("evaluator-0", "Succeeded", code=0).settle()
    assert model.state == "Succeeded"


def test_an_evaluator_past_its_restarts_has_failed_and_is_not_waited_for():
    spec = job(Chief=1, Evaluator=1, restart="Always", run_policy={"waitForEvaluator": True})
    model = started(with_replicas(spec, "Evaluator", maxRestarts=0))
    model.put("chief-0", "Succeeded", code=0).settle()
    model.put("evaluator-0", "Running", restarts=1).settle()
    assert model.state == "Succeeded"
    assert model.counts("Evaluator") == (0, 0, 1)


def test_the_deadline_counts_while_the_evaluator_is_waited_for():
    policy = {"waitForEvaluator": True, "activeDeadlineSeconds": 60}
    model = running(Worker=1, Evaluator=1, run_policy=policy).put("worker-0", "Succeeded", code=0).settle()
    assert "longer than specified deadline" in model.later(60).settle().message("Failed")


# avoidFailedNodes


def preferences(model: JobModel, task: str) -> list:
    affinity = model.pods[f"mnist-{task}"]["spec"].get("affinity", {}).get("nodeAffinity", {})
    return affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])


@upstream("#2185")
def test_other_nodes_than_those_that_failed_are_preferred():
    spec = job(Worker=2, restart="ExitCode", run_policy={"avoidFailedNodes": True})
    mine = {"weight": 1, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}
    affinity = {"podAffinity": {}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [mine]}}
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["affinity"] = affinity
    model = JobModel(spec).settle()
    for node in ("a", "b", "a"):
        model.put_all("Running").bind("worker-1", node).put("worker-1", "Failed", code=137).settle().later(
            60
        ).settle()
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [node]} for node in ("b", "a")]
    assert preferences(model, "worker-1") == [mine, {"weight": 100, "preference": {"matchFields": fields}}]
    assert model.pods["mnist-worker-1"]["spec"]["affinity"]["podAffinity"] == {}
    assert preferences(model, "worker-0") == [mine]


def test_only_who_asks_for_it_avoids_a_node():
    model = running(Worker=1, restart="ExitCode").bind("worker-0", "a").put("worker-0", "Failed", code=137).settle()
    assert preferences(model, "worker-0") == []
    assert "nodes" not in model.status["tasks"]["worker-0"]


# Where the versions before v1 had the run policy


@pytest.mark.parametrize(("old", "new", "tasks"), [
    ("All", None, set()), ("All", "None", {"worker-0", "ps-0"}), (None, None, {"worker-0", "ps-0"}),
    ("Running", None, {"worker-0"}), ("None", "All", set()),
])  # fmt: skip
def test_the_run_policy_outweighs_the_old_place(old, new, tasks):
    spec = job(Worker=1, PS=1, run_policy={"cleanPodPolicy": new})
    spec["spec"]["cleanPodPolicy"] = old
    model = started(spec).put("worker-0", "Succeeded", code=0).settle()
    assert model.tasks == tasks


def test_times_and_limits_in_the_old_place():
    spec = job(Worker=1, restart="ExitCode")
    spec["spec"].update(activeDeadlineSeconds=60, backoffLimit=0, ttlSecondsAfterFinished=5)
    model = started(spec)
    assert model.plan.requeue_after == 60
    model.put("worker-0", "Failed", code=137).settle()
    assert "backoff limit" in model.message("Failed")
    assert model.plan.requeue_after == 5
