"""How a job starts, succeeds and fails, by the state of the model afterwards."""

import pytest

from tests.tfjob.builders import job
from tests.tfjob.model import JobModel, running

# How a job starts


def test_a_new_job_is_created():
    model = JobModel(job(Worker=2))
    plan = model.step()
    assert (model.state, model.message("Created")) == ("Created", "TFJob mnist is created.")
    assert model.status["startTime"] == "2026-01-02T03:04:05Z"
    assert plan.counted == ("created",)
    assert model.tasks == {"worker-0", "worker-1"}


def test_nothing_is_planned_once_settled():
    model = running(Worker=2, PS=1)
    assert model.step().__dict__ == {**model.plan.__dict__, "status": None, "create": (), "delete": (), "events": ()}


@pytest.mark.parametrize(("counts", "task", "state"), [
    ({"Worker": 2}, "worker-1", "Running"),
    ({"Worker": 2, "PS": 1}, "ps-0", "Created"),
    ({"Chief": 1, "Worker": 1}, "worker-0", "Created"),
    ({"Chief": 1, "Worker": 1}, "chief-0", "Running"),
    ({"Master": 1, "Worker": 1}, "master-0", "Running"),
    ({"PS": 1}, "ps-0", "Running"),
])  # fmt: skip
def test_running(counts, task, state):
    model = JobModel(job(**counts)).settle().put(task, "Running").settle()
    assert model.state == state
    if state == "Running":
        assert model.message("Running") == "TFJob kf-admin/mnist is running."


def test_counts():
    model = JobModel(job(Worker=4, restart="OnFailure")).settle()
    model.put("worker-1", "Running").put("worker-2", "Succeeded").settle()
    assert model.counts("Worker") == (1, 1, 0)


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
    model = JobModel(spec).settle().put_all("Running").settle()
    for task in done:
        model.put(task, "Succeeded", code=0)
    model.settle()
    assert ("Succeeded" in model.true) == success
    if success:
        assert model.state == "Succeeded"
        assert model.message("Succeeded") == "TFJob kf-admin/mnist successfully completed."
        assert "Running" not in model.true
        assert model.status["completionTime"]


def test_success_counts_what_was_active():
    model = running(Chief=1, Worker=2).put("chief-0", "Succeeded", code=0).settle()
    assert model.counts("Worker") == (0, 2, 0)


def test_a_completed_worker_whose_pod_is_deleted_does_not_run_again():
    model = running(Worker=2).put("worker-1", "Succeeded", code=0).settle()
    model.remove("worker-1").settle()
    assert model.tasks == {"worker-0"}
    assert model.counts("Worker") == (1, 1, 0)


# How it fails


def test_a_failed_replica_fails_the_job():
    model = running(Worker=3).put("worker-1", "Failed", code=1).put("worker-2", "Failed", code=1)
    plan = model.step()
    assert model.state == "Failed"
    assert model.message("Failed") == "TFJob kf-admin/mnist has failed because 2 Worker replica(s) failed."
    assert ("Normal", "ExitedWithCode", "Pod: kf-admin.mnist-worker-1 exited with code 1") in plan.events
    assert plan.counted == ("failed",)


def test_a_chiefs_success_outweighs_a_workers_failure():
    model = running(Chief=1, Worker=1).put("worker-0", "Failed", code=1).put("chief-0", "Succeeded", code=0).settle()
    assert model.true == {"Created", "Succeeded"}


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_the_end_never_changes(end):
    model = running(Worker=2).put("worker-0", end, code=int(end == "Failed")).settle()
    model.put("worker-0", "Failed" if end == "Succeeded" else "Succeeded").settle()
    assert end in model.true
    assert not {"Succeeded", "Failed"} - {end} & model.true
    model.pods.clear()
    assert model.step().create == ()


@pytest.mark.parametrize("phase", ["Pending", "Running", "Failed"])
def test_a_dynamic_worker_does_not_fail_the_job(phase):
    spec = job(Worker=2, PS=1)
    spec["spec"]["enableDynamicWorker"] = True
    model = JobModel(spec).settle().put_all("Running").put("worker-1", phase, code=1 if phase == "Failed" else None)
    assert "Failed" not in model.settle().true
