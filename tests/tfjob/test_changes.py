"""What stays of a job that has ended, and what becomes of one that its user changes: suspends, scales, gives away."""

import pytest

from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.builders import job
from tests.tfjob.model import JobModel, running, suspend

# What stays


@pytest.mark.parametrize(("policy", "pods"), [
    (None, {"chief-0", "worker-0", "worker-1", "ps-0"}),
    ("None", {"chief-0", "worker-0", "worker-1", "ps-0"}),
    ("Running", {"chief-0", "worker-0"}),
    ("All", set()),
])  # fmt: skip
@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_clean_pod_policy(policy, pods, end):
    run_policy = {"cleanPodPolicy": policy} if policy else None
    model = running(Chief=1, Worker=2, PS=1, run_policy=run_policy)
    model.put("worker-0", "Succeeded", code=0).put("worker-1", "Pending").settle()
    model.put("chief-0", end, code=int(end == "Failed")).settle()
    assert end in model.true
    assert model.tasks == pods
    assert {name.removeprefix("mnist-") for name in model.services} == pods


def test_ttl_deletes_the_job():
    model = running(Worker=1, run_policy={"ttlSecondsAfterFinished": 100}).put("worker-0", "Succeeded", code=0)
    assert model.settle().plan.requeue_after == 100
    model.later(99.5).step()
    assert (model.deleted, model.plan.requeue_after) == (False, 0.5)
    model.later(1).step()
    assert model.deleted


# Suspend, scale, leave alone


def test_suspend_and_resume():
    model = suspend(running(Worker=2), True)
    model.put("worker-1", "Succeeded", code=0).settle()
    assert (model.tasks, model.services) == (set(), {})
    assert model.state == "Suspended"
    assert model.message("Suspended") == "TFJob mnist is suspended."
    assert model.true == {"Created", "Suspended"}
    assert model.counts("Worker") == (0, 0, 0)
    suspend(model, False).later(500).settle()
    assert model.tasks == {"worker-0", "worker-1"}
    assert model.status["startTime"] == "2026-01-02T03:12:25Z"
    assert model.message("Suspended") == "TFJob mnist is resumed."
    assert model.put_all("Running").settle().state == "Running"


def test_a_job_may_begin_suspended():
    model = suspend(JobModel(job(Worker=2)), True).settle()
    assert (model.tasks, model.true) == (set(), {"Created", "Suspended"})
    assert "startTime" not in model.status


def test_time_in_suspension_does_not_count_for_the_deadline():
    model = suspend(running(Worker=1, run_policy={"activeDeadlineSeconds": 60}), True).settle().later(1000)
    assert suspend(model, False).settle().plan.requeue_after == 60


def test_scale_up_and_down():
    model = running(Worker=2)
    workers = model.job["spec"]["tfReplicaSpecs"]["Worker"]
    workers["replicas"] = 4
    assert model.settle().tasks == {"worker-0", "worker-1", "worker-2", "worker-3"}
    workers["replicas"] = 1
    assert model.settle().tasks == {"worker-0"}
    assert set(model.services) == {"mnist-worker-0"}


@pytest.mark.parametrize("policy", ["Never", "OnFailure", "ExitCode"])
@pytest.mark.parametrize(("phase", "code"), [("Running", None), ("Failed", 143), ("Failed", 1), ("Succeeded", 0)])
@pytest.mark.parametrize("change", ["scale", "suspend"])
def test_a_pod_that_was_to_go_says_nothing_to_the_one_that_follows(change, phase, code, policy):
    """The job wants the replica again while the pod of before is still terminating, and ends as it is told to."""
    model = running(Worker=2, restart=policy, run_policy={"backoffLimit": 0})
    workers, before = model.job["spec"]["tfReplicaSpecs"]["Worker"], model.pods["mnist-worker-1"]
    if change == "scale":
        workers["replicas"] = 1
    else:
        suspend(model, True)
    model.step()
    model.pods["mnist-worker-1"] = before
    model.terminate("worker-1").step()
    workers["replicas"] = 2
    suspend(model, False).step()
    model.put("worker-1", phase, code=code).step()
    assert not {"Failed", "Restarting"} & model.true
    assert model.counts("Worker")[1:] == (0, 0)
    model.remove("worker-1").settle().put_all("Running").settle()
    assert model.tasks == {"worker-0", "worker-1"}
    assert model.state == "Running"
    assert "tasks" not in model.status


def test_a_restart_policy_in_the_template_is_overruled_and_that_is_told_once():
    spec = job(Worker=3, restart="OnFailure")
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["restartPolicy"] = "Never"
    plan = JobModel(spec).step()
    assert [event.reason for event in plan.events] == ["SetPodTemplateRestartPolicy"]
    assert {child["spec"]["restartPolicy"] for child in plan.create if child["kind"] == "Pod"} == {"OnFailure"}


def test_a_type_that_is_taken_out_goes():
    model = running(Worker=1, PS=1)
    del model.job["spec"]["tfReplicaSpecs"]["PS"]
    assert model.settle().tasks == {"worker-0"}
    assert "PS" not in model.status["replicaStatuses"]


@pytest.mark.parametrize("mark", ["deletionTimestamp", "managedBy"])
def test_a_job_that_is_not_ours_to_run_is_left_alone(mark):
    spec = job(Worker=1)
    if mark == "managedBy":
        spec["spec"]["runPolicy"] = {"managedBy": "kueue.x-k8s.io/multikueue"}
    else:
        spec["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    model = JobModel(spec)
    plan = model.step()
    assert (plan.status, plan.create, plan.delete) == (None, (), ())


def test_pods_of_another_job_of_the_name_are_passed_over():
    model = running(Worker=1)
    for child in (*model.pods.values(), *model.services.values()):
        child["metadata"]["ownerReferences"][0]["uid"] = "of-the-job-before"
    plan = decide(model.job, list(model.pods.values()), list(model.services.values()), now=model.now)
    assert len(plan.create) == 2
    assert plan.delete == ()
