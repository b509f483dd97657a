"""What stays of a job that has ended, and what becomes of one that its user changes: suspends, scales, gives away."""

import pytest

from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.world import World, job, running, suspend

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
    world = running(Chief=1, Worker=2, PS=1, run_policy=run_policy)
    world.put("worker-0", "Succeeded", code=0).put("worker-1", "Pending").settle()
    world.put("chief-0", end, code=int(end == "Failed")).settle()
    assert end in world.true
    assert world.tasks == pods
    assert {name.removeprefix("mnist-") for name in world.services} == pods


def test_ttl_deletes_the_job():
    world = running(Worker=1, run_policy={"ttlSecondsAfterFinished": 100}).put("worker-0", "Succeeded", code=0)
    assert world.settle().plan.requeue_after == 100
    world.later(99.5).step()
    assert (world.deleted, world.plan.requeue_after) == (False, 0.5)
    world.later(1).step()
    assert world.deleted


# Suspend, scale, leave alone


def test_suspend_and_resume():
    world = suspend(running(Worker=2), True)
    world.put("worker-1", "Succeeded", code=0).settle()
    assert (world.tasks, world.services) == (set(), {})
    assert world.state == "Suspended"
    assert world.message("Suspended") == "TFJob mnist is suspended."
    assert world.true == {"Created", "Suspended"}
    assert world.counts("Worker") == (0, 0, 0)
    suspend(world, False).later(500).settle()
    assert world.tasks == {"worker-0", "worker-1"}
    assert world.status["startTime"] == "2026-01-02T03:12:25Z"
    assert world.message("Suspended") == "TFJob mnist is resumed."
    assert world.put_all("Running").settle().state == "Running"


def test_a_job_may_begin_suspended():
    world = suspend(World(job(Worker=2)), True).settle()
    assert (world.tasks, world.true) == (set(), {"Created", "Suspended"})
    assert "startTime" not in world.status


def test_time_in_suspension_does_not_count_for_the_deadline():
    world = suspend(running(Worker=1, run_policy={"activeDeadlineSeconds": 60}), True).settle().later(1000)
    assert suspend(world, False).settle().plan.requeue_after == 60


def test_scale_up_and_down():
    world = running(Worker=2)
    workers = world.job["spec"]["tfReplicaSpecs"]["Worker"]
    workers["replicas"] = 4
    assert world.settle().tasks == {"worker-0", "worker-1", "worker-2", "worker-3"}
    workers["replicas"] = 1
    assert world.settle().tasks == {"worker-0"}
    assert set(world.services) == {"mnist-worker-0"}


@pytest.mark.parametrize("policy", ["Never", "OnFailure", "ExitCode"])
@pytest.mark.parametrize(("phase", "code"), [("Running", None), ("Failed", 143), ("Failed", 1), ("Succeeded", 0)])
@pytest.mark.parametrize("change", ["scale", "suspend"])
def test_a_pod_that_was_to_go_says_nothing_to_the_one_that_follows(change, phase, code, policy):
    """The job wants the replica again while the pod of before is still terminating, and ends as it is told to."""
    world = running(Worker=2, restart=policy, run_policy={"backoffLimit": 0})
    workers, before = world.job["spec"]["tfReplicaSpecs"]["Worker"], world.pods["mnist-worker-1"]
    if change == "scale":
        workers["replicas"] = 1
    else:
        suspend(world, True)
    world.step()
    world.pods["mnist-worker-1"] = before
    world.terminate("worker-1").step()
    workers["replicas"] = 2
    suspend(world, False).step()
    world.put("worker-1", phase, code=code).step()
    assert not {"Failed", "Restarting"} & world.true
    assert world.counts("Worker")[1:] == (0, 0)
    world.remove("worker-1").settle().put_all("Running").settle()
    assert world.tasks == {"worker-0", "worker-1"}
    assert world.state == "Running"
    assert "tasks" not in world.status


def test_a_restart_policy_in_the_template_is_overruled_and_that_is_told_once():
    spec = job(Worker=3, restart="OnFailure")
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["restartPolicy"] = "Never"
    plan = World(spec).step()
    assert [event.reason for event in plan.events] == ["SetPodTemplateRestartPolicy"]
    assert {child["spec"]["restartPolicy"] for child in plan.create if child["kind"] == "Pod"} == {"OnFailure"}


def test_a_type_that_is_taken_out_goes():
    world = running(Worker=1, PS=1)
    del world.job["spec"]["tfReplicaSpecs"]["PS"]
    assert world.settle().tasks == {"worker-0"}
    assert "PS" not in world.status["replicaStatuses"]


@pytest.mark.parametrize("mark", ["deletionTimestamp", "managedBy"])
def test_a_job_that_is_not_ours_to_run_is_left_alone(mark):
    spec = job(Worker=1)
    if mark == "managedBy":
        spec["spec"]["runPolicy"] = {"managedBy": "kueue.x-k8s.io/multikueue"}
    else:
        spec["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    world = World(spec)
    plan = world.step()
    assert (plan.status, plan.create, plan.delete) == (None, (), ())


def test_pods_of_another_job_of_the_name_are_passed_over():
    world = running(Worker=1)
    for child in (*world.pods.values(), *world.services.values()):
        child["metadata"]["ownerReferences"][0]["uid"] = "of-the-job-before"
    plan = decide(world.job, list(world.pods.values()), list(world.services.values()), now=world.now)
    assert len(plan.create) == 2
    assert plan.delete == ()
