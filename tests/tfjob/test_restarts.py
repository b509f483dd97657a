"""Which replicas restart, how often, and what limits end a job."""

import pytest

from tests.tfjob.model import running


@pytest.mark.parametrize(("policy", "code", "again"), [
    ("Never", 1, False), ("Never", 137, False), ("OnFailure", 1, True), ("Always", 1, True),
    ("ExitCode", 1, False), ("ExitCode", 127, False), ("ExitCode", 128, True), ("ExitCode", 137, True),
])  # fmt: skip
def test_restart(policy, code, again):
    model = running(Worker=2, restart=policy)
    before = model.pods["mnist-worker-1"]["metadata"]["uid"]
    model.put("worker-1", "Failed", code=code)
    plan = model.step()
    assert ("Restarting" in model.true, "Failed" in model.true) == (again, not again)
    model.settle()
    if again:
        assert model.pods["mnist-worker-1"]["metadata"]["uid"] != before
        assert plan.counted == ("restarted",)
        assert plan.events[-1].message == "job mnist is restarting because Worker replica(s) failed."


def test_running_takes_the_place_of_restarting():
    model = running(Worker=2, restart="ExitCode").put("worker-1", "Failed", code=137)
    model.step()
    assert model.true == {"Created", "Restarting"}
    model.settle().put_all("Running").settle()
    assert model.true == {"Created", "Running"}


@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
def test_a_terminating_pod_does_not_fail_the_job(policy):
    model = running(Worker=2, restart=policy).put("worker-1", "Failed", code=1).terminate("worker-1").settle()
    assert "Failed" not in model.true
    model.remove("worker-1").settle()
    assert "worker-1" in model.tasks
    assert "restarts" not in model.status.get("tasks", {}).get("worker-1", {})


def test_an_evicted_pod_is_made_again_under_exit_code():
    model = running(Worker=2, restart="ExitCode").put("worker-1", "Failed", reason="Evicted").settle()
    assert "Failed" not in model.true
    assert "status" not in model.pods["mnist-worker-1"]


@pytest.mark.parametrize("policy", ["Never", "ExitCode"])
def test_why_a_node_ended_a_pod_is_told_once(policy):
    model = running(Worker=2, restart=policy)
    model.put("worker-1", "Failed", reason="Evicted", message="The node was low on resource: memory. ")
    told = [event.message for event in model.step().events if event.reason == "TFJobPodDisrupted"]
    assert told == [
        "Pod mnist-worker-1 was evicted: its node ran out of memory. "
        "Kubernetes says: Evicted: The node was low on resource: memory."
    ]
    assert not [event for event in model.step().events if event.reason == "TFJobPodDisrupted"]


def test_a_restart_is_counted_once_even_if_the_deletion_is_lost():
    model = running(Worker=1, restart="OnFailure").put("worker-0", "Failed", code=1)
    failed = dict(model.pods)
    for _ in range(3):  # the operator dies between its status and its deletion, three times
        model.step()
        model.pods = dict(failed)
    assert model.status["tasks"]["worker-0"]["restarts"] == 1
    assert [child.name for child in model.step().delete] == ["mnist-worker-0"]


def test_further_restarts_wait_ever_longer():
    model = running(Worker=1, restart="OnFailure")
    waits = []
    for _ in range(9):
        model.put("worker-0", "Failed", code=1)
        model.step()
        plan = model.step()
        waits.append(plan.requeue_after or 0)
        model.later(waits[-1]).settle()
        assert model.tasks == {"worker-0"}
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60, 60]


# Limits


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_backoff_limit_counts_pods_created_again(limit):
    model = running(Worker=2, restart="ExitCode", run_policy={"backoffLimit": limit})
    for _ in range(limit):
        model.put("worker-1", "Failed", code=137).settle().later(60).settle().put_all("Running").settle()
        assert "Failed" not in model.true
    model.put("worker-1", "Failed", code=137).settle()
    assert model.message("Failed") == "Job mnist has failed because it has reached the specified backoff limit"


@pytest.mark.parametrize(("limit", "restarts", "failed"), [(0, 0, False), (0, 1, True), (3, 2, False), (3, 3, True)])
def test_backoff_limit_counts_restarts_in_place(limit, restarts, failed):
    model = running(Worker=1, restart="OnFailure", run_policy={"backoffLimit": limit})
    model.put("worker-0", "Running", restarts=restarts).settle()
    assert ("Failed" in model.true) == failed


def test_backoff_limit_counts_both_together():
    model = running(Worker=2, restart="OnFailure", run_policy={"backoffLimit": 3})
    model.put("worker-0", "Failed", code=1, restarts=1).settle().later(60).settle().put_all("Running")
    model.put("worker-1", "Running", restarts=1).settle()
    assert "Failed" in model.true


def test_active_deadline_wakes_up_by_itself():
    model = running(Worker=2, run_policy={"activeDeadlineSeconds": 60})
    assert model.later(59).step().requeue_after == 1
    model.later(1).settle()
    assert model.message("Failed") == "Job mnist has failed because it was active longer than specified deadline"


@pytest.mark.parametrize("policy", ["None", "Running", "All"])
def test_what_a_limit_ends_does_not_run_on(policy):
    model = running(Worker=3, run_policy={"activeDeadlineSeconds": 60, "cleanPodPolicy": policy})
    model.put("worker-2", "Succeeded", code=0).later(61).settle()
    assert model.tasks == (set() if policy == "All" else {"worker-2"})
    assert model.counts("Worker") == (0, 1, 0)
