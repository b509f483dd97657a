"""Each rule of a job's life, by what the world looks like afterwards."""

import pytest

from kf_spawner.tfjob.plan import Refusal
from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.world import World, job


def running(**options) -> World:
    return World(job(**options)).settle().put_all("Running").settle()


# How a job starts


def test_a_new_job_is_created():
    world = World(job(Worker=2))
    plan = world.step()
    assert (world.state, world.message("Created")) == ("Created", "TFJob mnist is created.")
    assert world.status["startTime"] == "2026-01-02T03:04:05Z"
    assert plan.counted == ("created",)
    assert world.tasks == {"worker-0", "worker-1"}


def test_nothing_is_planned_once_settled():
    world = running(Worker=2, PS=1)
    assert world.step().__dict__ == {**world.plan.__dict__, "status": None, "create": (), "delete": (), "events": ()}


@pytest.mark.parametrize(("counts", "task", "state"), [
    ({"Worker": 2}, "worker-1", "Running"),
    ({"Worker": 2, "PS": 1}, "ps-0", "Created"),
    ({"Chief": 1, "Worker": 1}, "worker-0", "Created"),
    ({"Chief": 1, "Worker": 1}, "chief-0", "Running"),
    ({"Master": 1, "Worker": 1}, "master-0", "Running"),
    ({"PS": 1}, "ps-0", "Running"),
])  # fmt: skip
def test_running(counts, task, state):
    world = World(job(**counts)).settle().put(task, "Running").settle()
    assert world.state == state
    if state == "Running":
        assert world.message("Running") == "TFJob kf-admin/mnist is running."


def test_counts():
    world = World(job(Worker=4, restart="OnFailure")).settle()
    world.put("worker-1", "Running").put("worker-2", "Succeeded").settle()
    assert world.counts("Worker") == (1, 1, 0)


# How it succeeds


@pytest.mark.parametrize(("counts", "done", "policy", "success"), [
    ({"Chief": 1, "Worker": 2}, ["chief-0"], "", True),
    ({"Chief": 1, "Worker": 2}, ["worker-0", "worker-1"], "", False),
    ({"Master": 1, "PS": 2}, ["master-0"], "", True),
    ({"Worker": 2, "PS": 1}, ["worker-0"], "", True),
    ({"Worker": 2, "PS": 1}, ["worker-1"], "", False),
    ({"Worker": 2, "PS": 1}, ["worker-0"], "AllWorkers", False),
    ({"Worker": 2, "PS": 1}, ["worker-0", "worker-1"], "AllWorkers", True),
    ({"PS": 2}, ["ps-0"], "", False),
    ({"PS": 2}, ["ps-0", "ps-1"], "", True),
    ({"Evaluator": 1}, ["evaluator-0"], "", True),
])  # fmt: skip
def test_success(counts, done, policy, success):
    spec = job(**counts)
    spec["spec"]["successPolicy"] = policy
    world = World(spec).settle().put_all("Running").settle()
    for task in done:
        world.put(task, "Succeeded", code=0)
    world.settle()
    assert ("Succeeded" in world.true) == success
    if success:
        assert world.state == "Succeeded"
        assert world.message("Succeeded") == "TFJob kf-admin/mnist successfully completed."
        assert "Running" not in world.true
        assert world.status["completionTime"]


def test_success_counts_what_was_active():
    world = running(Chief=1, Worker=2).put("chief-0", "Succeeded", code=0).settle()
    assert world.counts("Worker") == (0, 2, 0)


def test_a_completed_worker_whose_pod_is_deleted_does_not_run_again():
    world = running(Worker=2).put("worker-1", "Succeeded", code=0).settle()
    world.remove("worker-1").settle()
    assert world.tasks == {"worker-0"}
    assert world.counts("Worker") == (1, 1, 0)


# How it fails


def test_a_failed_replica_fails_the_job():
    world = running(Worker=3).put("worker-1", "Failed", code=1).put("worker-2", "Failed", code=1)
    plan = world.step()
    assert world.state == "Failed"
    assert world.message("Failed") == "TFJob kf-admin/mnist has failed because 2 Worker replica(s) failed."
    assert ("Normal", "ExitedWithCode", "Pod: kf-admin.mnist-worker-1 exited with code 1") in plan.events
    assert plan.counted == ("failed",)


def test_a_chiefs_success_outweighs_a_workers_failure():
    world = running(Chief=1, Worker=1).put("worker-0", "Failed", code=1).put("chief-0", "Succeeded", code=0).settle()
    assert world.true == {"Created", "Succeeded"}


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_the_end_never_changes(end):
    world = running(Worker=2).put("worker-0", end, code=int(end == "Failed")).settle()
    world.put("worker-0", "Failed" if end == "Succeeded" else "Succeeded").settle()
    assert end in world.true
    assert not {"Succeeded", "Failed"} - {end} & world.true
    world.pods.clear()
    assert world.step().create == ()


@pytest.mark.parametrize("phase", ["Pending", "Running", "Failed"])
def test_a_dynamic_worker_does_not_fail_the_job(phase):
    spec = job(Worker=2, PS=1)
    spec["spec"]["enableDynamicWorker"] = True
    world = World(spec).settle().put_all("Running").put("worker-1", phase, code=1 if phase == "Failed" else None)
    assert "Failed" not in world.settle().true


# Restarts


@pytest.mark.parametrize(("policy", "code", "again"), [
    ("Never", 1, False), ("Never", 137, False), ("OnFailure", 1, True), ("Always", 1, True),
    ("ExitCode", 1, False), ("ExitCode", 127, False), ("ExitCode", 128, True), ("ExitCode", 137, True),
])  # fmt: skip
def test_restart(policy, code, again):
    world = running(Worker=2, restart=policy)
    before = world.pods["mnist-worker-1"]["metadata"]["uid"]
    world.put("worker-1", "Failed", code=code)
    plan = world.step()
    assert ("Restarting" in world.true, "Failed" in world.true) == (again, not again)
    world.settle()
    if again:
        assert world.pods["mnist-worker-1"]["metadata"]["uid"] != before
        assert plan.counted == ("restarted",)
        assert plan.events[-1].message == "job mnist is restarting because Worker replica(s) failed."


def test_running_takes_the_place_of_restarting():
    world = running(Worker=2, restart="ExitCode").put("worker-1", "Failed", code=137)
    world.step()
    assert world.true == {"Created", "Restarting"}
    world.settle().put_all("Running").settle()
    assert world.true == {"Created", "Running"}


@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
def test_a_terminating_pod_does_not_fail_the_job(policy):
    world = running(Worker=2, restart=policy).put("worker-1", "Failed", code=1).terminate("worker-1").settle()
    assert "Failed" not in world.true
    world.remove("worker-1").settle()
    assert "worker-1" in world.tasks
    assert "restarts" not in world.status.get("tasks", {}).get("worker-1", {})


def test_an_evicted_pod_is_made_again_under_exit_code():
    world = running(Worker=2, restart="ExitCode").put("worker-1", "Failed", reason="Evicted").settle()
    assert "Failed" not in world.true
    assert "status" not in world.pods["mnist-worker-1"]


def test_a_restart_is_counted_once_even_if_the_deletion_is_lost():
    world = running(Worker=1, restart="OnFailure").put("worker-0", "Failed", code=1)
    failed = dict(world.pods)
    for _ in range(3):  # the operator dies between its status and its deletion, three times
        world.step()
        world.pods = dict(failed)
    assert world.status["tasks"]["worker-0"]["restarts"] == 1
    assert [child.name for child in world.step().delete] == ["mnist-worker-0"]


def test_further_restarts_wait_ever_longer():
    world = running(Worker=1, restart="OnFailure")
    waits = []
    for _ in range(9):
        world.put("worker-0", "Failed", code=1)
        world.step()
        plan = world.step()
        waits.append(plan.requeue_after or 0)
        world.later(waits[-1]).settle()
        assert world.tasks == {"worker-0"}
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]


# Limits


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_backoff_limit_counts_pods_made_anew(limit):
    world = running(Worker=2, restart="ExitCode", run_policy={"backoffLimit": limit})
    for _ in range(limit):
        world.put("worker-1", "Failed", code=137).settle().later(60).settle().put_all("Running").settle()
        assert "Failed" not in world.true
    world.put("worker-1", "Failed", code=137).settle()
    assert world.message("Failed") == "Job mnist has failed because it has reached the specified backoff limit"


@pytest.mark.parametrize(("limit", "restarts", "failed"), [(0, 0, False), (0, 1, True), (3, 2, False), (3, 3, True)])
def test_backoff_limit_counts_restarts_in_place(limit, restarts, failed):
    world = running(Worker=1, restart="OnFailure", run_policy={"backoffLimit": limit})
    world.put("worker-0", "Running", restarts=restarts).settle()
    assert ("Failed" in world.true) == failed


def test_backoff_limit_counts_both_together():
    world = running(Worker=2, restart="OnFailure", run_policy={"backoffLimit": 3})
    world.put("worker-0", "Failed", code=1, restarts=1).settle().later(60).settle().put_all("Running")
    world.put("worker-1", "Running", restarts=1).settle()
    assert "Failed" in world.true


def test_active_deadline_wakes_up_by_itself():
    world = running(Worker=2, run_policy={"activeDeadlineSeconds": 60})
    assert world.later(59).step().requeue_after == 1
    world.later(1).settle()
    assert world.message("Failed") == "Job mnist has failed because it was active longer than specified deadline"


@pytest.mark.parametrize("policy", ["None", "Running", "All"])
def test_what_a_limit_ends_does_not_run_on(policy):
    world = running(Worker=3, run_policy={"activeDeadlineSeconds": 60, "cleanPodPolicy": policy})
    world.put("worker-2", "Succeeded", code=0).later(61).settle()
    assert world.tasks == (set() if policy == "All" else {"worker-2"})
    assert world.counts("Worker") == (0, 1, 0)


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


def suspend(world: World, value: bool) -> World:
    world.job["spec"].setdefault("runPolicy", {})["suspend"] = value
    return world


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


# Why a job does not get on


def waiting(world: World, reason: str, message: str) -> World:
    world.put("worker-1", "Pending")
    entry = world.pods["mnist-worker-1"]["status"]["containerStatuses"][0]
    entry.update(image="nosuch:1", state={"waiting": {"reason": reason, "message": message}})
    return world


def test_an_image_that_cannot_be_pulled_is_told():
    world = running(Worker=2)
    plan = waiting(world, "ErrImagePull", "not found").step()
    assert world.state == "Running"
    assert world.message("Created") == (
        "Pod mnist-worker-1 cannot get its image 'nosuch:1' (ErrImagePull): not found. "
        "Check the image's name and that the node may pull it."
    )
    assert plan.events[0].reason == "TFJobImagePullFailed"
    plan = waiting(world, "ImagePullBackOff", "back-off").step()
    assert (plan.status, plan.events) == (None, ())
    world.put("worker-1", "Running").settle()
    assert world.message("Created") == "TFJob mnist is created."


def test_what_may_pass_is_not_called_the_templates_fault():
    world = running(Worker=2)
    waiting(world, "CreateContainerConfigError", "the API server does not answer").step()
    assert world.message("Created") == (
        "Pod mnist-worker-1 waits for what its container needs (CreateContainerConfigError): the API server does not "
        "answer. It starts by itself once that is there; if it never will be, correct the pod template."
    )
    world = running(Worker=2)
    waiting(world, "RunContainerError", "no such program").step()
    assert world.message("Created").endswith("no such program. Correct the pod template.")


def test_a_pod_that_fits_nowhere_is_told():
    world = World(job(Worker=1)).settle()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit."}
    world.put("worker-0", "Pending", conditions=[condition]).settle()
    assert "cannot be scheduled: 0/1 nodes fit." in world.message("Created")
    assert world.state == "Created"


def test_a_refused_pod_is_told_and_tried_again():
    world = World(job(Worker=1))
    plan = world.step(refusals={"mnist-worker-0": Refusal("exceeded quota")})
    assert "mnist-worker-0 cannot be made: exceeded quota" in world.message("Created")
    assert len(plan.create) == 2
    world.pods.clear()
    assert world.step(refusals={"mnist-worker-0": Refusal("exceeded quota")}).status is None
    world.pods.clear()
    world.step(refusals={"mnist-worker-0": Refusal("the pod of before is still being deleted")})
    assert "still being deleted" in world.message("Created")


def test_a_pod_that_is_refused_for_good_fails_the_job():
    world = World(job(Worker=1))
    plan = world.step(refusals={"mnist-worker-0": Refusal("spec.containers[0].ports: Duplicate", final=True)})
    assert "mnist-worker-0 cannot be made: spec.containers[0].ports: Duplicate" in world.message("Failed")
    assert plan.create == ()
