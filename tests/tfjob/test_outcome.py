"""How a job starts, succeeds and fails, by what the world looks like afterwards."""

import pytest

from tests.tfjob.world import World, job, running

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
