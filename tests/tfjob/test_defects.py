"""Known defects of the original operator, one test each: what it did wrong, done right.

Those that show only with a loop around the rules are in tests/operator/test_defects.py.
"""

import json

import pytest

from kf_spawner.tfjob.validation import validate
from tests.tfjob.builders import job
from tests.tfjob.model import JobModel, running
from tests.tfjob.test_children import children, tf_config
from tests.tfjob.upstream import upstream

POLICIES = ["Never", "OnFailure", "Always", "ExitCode"]


def dynamic(**counts) -> dict:
    spec = job(**counts)
    spec["spec"]["enableDynamicWorker"] = True
    return spec


@upstream("#3358")
def test_a_deadline_needs_no_event():
    model = JobModel(job(Worker=1, run_policy={"activeDeadlineSeconds": 60})).settle()
    assert model.plan.requeue_after == 60
    assert "longer than specified deadline" in model.later(60).settle().message("Failed")


@upstream("#2045", "#2342")
@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
def test_pods_created_again_count_for_the_backoff_limit(policy):
    """The original counted only restarts of containers: a pod that it created again began at 0."""
    model = running(Worker=1, restart=policy, run_policy={"backoffLimit": 1})
    model.put("worker-0", "Failed", code=137).settle().put("worker-0", "Running").settle()
    assert "Failed" not in model.true
    assert "backoff limit" in model.put("worker-0", "Failed", code=137).settle().message("Failed")


@upstream("#2124")
@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
@pytest.mark.parametrize(("phase", "code"), [("Running", None), ("Failed", 1), ("Failed", 143)])
def test_a_pod_that_is_drained_is_made_again(policy, phase, code):
    model = running(Worker=2, restart=policy, run_policy={"backoffLimit": 0})
    model.terminate("worker-1").put("worker-1", phase, code=code).settle().remove("worker-1").settle()
    assert model.tasks == {"worker-0", "worker-1"}
    assert model.put_all("Running").settle().true == {"Created", "Running"}


@upstream("#2124")
def test_a_drained_pod_that_is_never_to_be_restarted_fails_the_job():
    model = running(Worker=2).terminate("worker-1").put("worker-1", "Failed", code=143).settle()
    assert model.message("Failed").endswith("1 Worker replica(s) failed.")


def lost(**options) -> JobModel:
    """Its worker 1 should be gone for a second; node b does not say so."""
    model = running(Worker=2, **options).bind("worker-0", "a").bind("worker-1", "b")
    model.terminate("worker-1", grace=30)
    assert model.step(lost_nodes=["b"]).requeue_after == 30
    assert model.plan.delete == ()
    return model.later(31)


@upstream("#2072")
@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
def test_a_replica_on_a_lost_node_is_created_again(policy):
    model = lost(restart=policy, run_policy={"backoffLimit": 0})
    assert model.step().requeue_after == 10  # the node is there: it has the time it needs
    before = model.pods["mnist-worker-1"]["metadata"]["uid"]
    plan = model.step(lost_nodes=["b"])
    assert plan.delete == (("Pod", "mnist-worker-1", before, True),)
    assert plan.events[0] == ("Warning", "TFJobNodeLost", "Pod mnist-worker-1 is lost with its node b")
    assert model.state == "Restarting"
    assert model.settle(lost_nodes=["b"]).pods["mnist-worker-1"]["metadata"]["uid"] != before
    assert model.put_all("Running").settle(lost_nodes=["b"]).true == {"Created", "Running"}


@upstream("#2072")
def test_a_lost_replica_that_is_never_to_be_restarted_fails_the_job():
    model = lost(run_policy={"cleanPodPolicy": "All"})
    plan = model.step(lost_nodes=["b"])
    assert model.message("Failed").endswith("1 Worker replica(s) failed.")
    assert ("mnist-worker-1", True) in [(child.name, child.force) for child in plan.delete]


@upstream("#2072")
@pytest.mark.parametrize("policy", POLICIES)
def test_suspension_does_not_hang_on_a_lost_node(policy):
    model = lost(restart=policy)
    model.job["spec"]["runPolicy"] = {"suspend": True}
    model.settle(lost_nodes=["b"])
    assert (model.tasks, model.state) == (set(), "Suspended")


@upstream("#1997", "#1186", "#2453")
@pytest.mark.parametrize("policy", POLICIES)
def test_a_completed_worker_does_not_run_again(policy):
    model = running(Chief=1, Worker=2, restart=policy).put("worker-1", "Succeeded", code=0).settle()
    model.terminate("worker-1").settle().remove("worker-1").settle()
    assert model.tasks == {"chief-0", "worker-0"}
    assert model.counts("Worker") == (1, 1, 0)


@upstream("#1139", "#1633")
def test_the_evaluator_is_not_in_the_cluster():
    for pod in children(job(Chief=1, Worker=1, PS=1, Evaluator=1)).values():
        assert set(tf_config(pod)["cluster"]) == {"chief", "ps", "worker"}


@upstream("#1658")
@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_an_evaluator_may_end_in_peace(end):
    policy = {"waitForEvaluator": True, "cleanPodPolicy": "All"}
    model = running(Chief=1, Worker=1, Evaluator=1, run_policy=policy)
    model.put("chief-0", "Succeeded", code=0).put("worker-0", "Failed", code=1).settle()
    assert (model.state, model.tasks) == ("Running", {"chief-0", "worker-0", "evaluator-0"})
    model.put("evaluator-0", end, code=int(end == "Failed")).settle()
    assert (model.state, model.tasks) == ("Succeeded", set())


@upstream("#1763")
@pytest.mark.parametrize("task", ["chief-0", "ps-0", "ps-1", "worker-0", "worker-2", "evaluator-0"])
def test_dynamic_workers_beside_a_chief(task):
    """The original gave a chief an empty cluster and each parameter server a list of itself alone, as number 0."""
    pods = children(dynamic(Chief=1, PS=2, Worker=3, Evaluator=1))
    config = tf_config(pods[f"mnist-{task}"])
    cluster, (kind, _, index) = config["cluster"], task.rpartition("-")
    assert config["task"] == {"type": kind, "index": int(index)}
    assert len(cluster["chief"]) == 1
    assert len(cluster["ps"]) == 2
    if kind == "worker":
        assert cluster["worker"] == {index: f"mnist-{task}.kf-admin.svc:2222"}
    else:
        assert len(cluster["worker"]) == 3
    assert "evaluator" not in cluster


@upstream("#1763")
def test_a_dynamic_worker_without_parameter_servers_sees_an_empty_list():
    """The original wrote null, which TensorFlow refuses."""
    config = tf_config(children(dynamic(Worker=2))["mnist-worker-1"])
    assert json.dumps(config["cluster"]) == '{"ps": [], "worker": {"1": "mnist-worker-1.kf-admin.svc:2222"}}'


@upstream("#1763")
@pytest.mark.parametrize(("failed", "fails"), [(["worker-0"], False), (["worker-0", "worker-1"], True)])
def test_a_job_whose_dynamic_workers_have_all_failed_does_not_wait_for_ever(failed, fails):
    model = JobModel(dynamic(PS=1, Worker=2)).settle().put_all("Running")
    for task in failed:
        model.put(task, "Failed", code=1)
    assert ("Failed" in model.settle().true) == fails


@upstream("#1101")
@pytest.mark.parametrize(
    ("length", "workers", "valid"), [(54, 1, True), (54, 10, True), (54, 11, False), (55, 1, False)]
)
def test_a_name_that_is_too_long_is_refused(length, workers, valid):
    """The original took it, and was refused a service for ever."""
    long = job("m" * length, Worker=workers)
    assert bool(validate(long)) != valid
    assert ("Failed" in JobModel(long).settle().true) != valid
    if valid:
        assert max(map(len, children(long, "Service"))) <= 63


def image_fails(model: JobModel) -> JobModel:
    model.put("worker-1", "Pending")
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    model.pods["mnist-worker-1"]["status"]["containerStatuses"][0].update(image="nosuch", state={"waiting": waiting})
    return model


@upstream("#2001", "#1136", "#1282")
def test_an_image_that_cannot_be_pulled_ends_the_job_in_time():
    model = JobModel(job(Worker=2, run_policy={"startDeadlineSeconds": 60})).settle().put("worker-0", "Running")
    assert "cannot pull its image 'nosuch'" in image_fails(model).settle().message("Created")
    assert model.plan.requeue_after == 60
    message = model.later(60).settle().message("Failed")
    assert message.startswith("Job mnist has failed because mnist-worker-1 did not start within 60 seconds. Pod")
    assert "cannot pull its image 'nosuch' (ImagePullBackOff): no such image." in message
    assert (model.tasks, model.services) == (set(), {})


@upstream("#1458")
def test_a_replica_has_its_address_before_it_runs():
    plan = JobModel(job(Worker=2, PS=1)).step()
    for service in (child for child in plan.create if child["kind"] == "Service"):
        assert service["spec"]["publishNotReadyAddresses"] is True
        assert service["spec"]["clusterIP"] == "None"


@pytest.mark.parametrize("order", [("chief-0", "worker-0"), ("worker-0", "chief-0")])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_job_ends_in_one_way_only(order, at_once):
    """In the original, a chief that succeeds and a worker that fails left both conditions True."""
    model = running(Chief=1, Worker=1)
    for task in order:
        model.put(task, "Failed" if task == "worker-0" else "Succeeded", code=int(task == "worker-0"))
        if not at_once:
            model.settle()
    model.settle()
    assert model.true - {"Created"} == ({"Failed"} if not at_once and order[0] == "worker-0" else {"Succeeded"})


@pytest.mark.parametrize("kind", ["PS", "Evaluator"])
def test_a_job_of_other_types_alone_succeeds(kind):
    """The original looked for a chief or worker 0 and found none."""
    model = running(**{kind: 2}).put_all("Succeeded", code=0).settle()
    assert model.state == "Succeeded"
