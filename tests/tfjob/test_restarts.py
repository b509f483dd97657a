"""Which replicas restart, how often, and what limits end a job."""

import pytest

from tests.tfjob.world import running


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


@pytest.mark.parametrize("policy", ["Never", "ExitCode"])
def test_why_a_node_ended_a_pod_is_told_once(policy):
    world = running(Worker=2, restart=policy)
    world.put("worker-1", "Failed", reason="Evicted", message="The node was low on resource: memory. ")
    told = [event.message for event in world.step().events if event.reason == "TFJobPodDisrupted"]
    assert told == [
        "Pod mnist-worker-1 was evicted: its node ran out of memory. "
        "Kubernetes says: Evicted: The node was low on resource: memory."
    ]
    assert not [event for event in world.step().events if event.reason == "TFJobPodDisrupted"]


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
