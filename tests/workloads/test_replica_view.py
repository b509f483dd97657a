"""What a notebook and the dashboard say of a replica, in words."""

import pytest

from kf_spawner.workloads.job_view import by_object, replica_view

IMAGE = {
    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}},
    "image": "nosuch:1",
}
MEMORY = {"state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}
FAILED = {"state": {"terminated": {"exitCode": 3, "reason": "Error", "message": "no data"}}}


def pod(phase: str, *containers: dict, **status) -> dict:
    labels = {"training.kubeflow.org/replica-type": "worker", "training.kubeflow.org/replica-index": "0"}
    statuses = [{"name": "tensorflow", "restartCount": 0, **container} for container in containers]
    return {
        "metadata": {"name": "mnist-worker-0", "uid": "one", "labels": labels},
        "spec": {},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }


@pytest.mark.parametrize(
    ("pod", "state", "reason", "message"),
    [
        (pod("Pending", IMAGE), "Waiting", "image cannot be pulled", "cannot pull its image 'nosuch:1'"),
        (pod("Failed", MEMORY), "Failed", "out of memory", "used more memory than its limit and was ended; ask for"),
        (
            pod("Failed", reason="Evicted", message="The node was low on resource: memory."),
            "Failed",
            "evicted",
            "The pod was evicted: its node ran out of memory.",
        ),
        (pod("Failed", FAILED), "Failed", "Error", "no data"),
    ],
    ids=["image", "memory", "evicted", "program"],
)
def test_why_a_replica_does_not_run(pod, state, reason, message):
    view = replica_view(pod)
    assert (view["state"], view["reason"]) == (state, reason)
    assert message in view["message"]


MISSING = 'MountVolume.SetUp failed for volume "c" : configmap "x" not found'
TIMED_OUT = "Unable to attach or mount volumes: unmounted volumes=[c]: timed out waiting for the condition"
SAID = f"waits for a volume: {MISSING}. It starts by itself once that is available"


def event(second: int, reason: str, message: str, uid: str = "one") -> dict:
    time = f"2026-01-01T00:00:{second:02}Z"
    return {"reason": reason, "message": message, "lastTimestamp": time, "involvedObject": {"uid": uid}}


@pytest.mark.parametrize(
    ("events", "state", "reason", "message"),
    [
        ([event(1, "FailedMount", MISSING)], "Waiting", "volume cannot be mounted", SAID),
        ([event(1, "FailedMount", MISSING), event(2, "FailedMount", TIMED_OUT)], "Waiting", "volume cannot", SAID),
        ([event(2, "FailedMount", TIMED_OUT)], "Waiting", "volume cannot be mounted", "unmounted volumes=[c]"),
        ([event(2, "Pulling", "image"), event(1, "FailedMount", MISSING)], "Starting", "", ""),
        ([event(1, "FailedMount", MISSING, uid="another")], "Starting", "", ""),
        ([], "Starting", "", ""),
    ],
    ids=["missing", "and timed out", "timed out", "came", "another pod's", "none"],
)
@pytest.mark.parametrize("word", ["ContainerCreating", "PodInitializing"])
def test_a_replica_that_waits_for_a_volume_says_so(word, events, state, reason, message):
    """Its status does not: only its events tell."""
    view = replica_view(pod("Pending", {"state": {"waiting": {"reason": word}}}), by_object(events))
    assert view["state"] == state
    assert view["reason"].startswith(reason)
    assert message in view["message"]


def test_of_a_replica_that_runs_old_events_say_nothing():
    view = replica_view(pod("Running", {"state": {"running": {}}}), by_object([event(1, "FailedMount", MISSING)]))
    assert (view["state"], view["message"]) == ("Running", "")
