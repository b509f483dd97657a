"""An endpoint's state and cause from what the API says of its Deployment and pods."""

from typing import Any

import pytest

from kf_spawner.serving import status


def deployment(*, wanted: int = 1, **seen: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "digits", "namespace": "kf-admin", "generation": 3},
        "spec": {"replicas": wanted},
        "status": {"observedGeneration": 3, "replicas": 1, "updatedReplicas": 1, **seen},
    }


def pod(
    name: str = "digits-1", *, state: dict | None = None, last: dict | None = None, **seen: Any
) -> dict[str, Any]:
    statuses = [{"image": "kf/x:1", "state": state, "lastState": last or {}}] if state else []
    return {
        "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": "Pending", "containerStatuses": statuses, **seen},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def test_ready() -> None:
    found = status(deployment(readyReplicas=1), [pod(state=RUNNING)])
    assert found == {
        "name": "digits",
        "state": "Ready",
        "message": "",
        "replicas": 1,
        "ready": 1,
        "url": "/serving/kf-admin/digits/v1/models/digits",
    }


def test_no_pods_yet() -> None:
    found = status(deployment(replicas=0, updatedReplicas=0), [])
    assert (found["state"], found["message"]) == ("Pending", "waiting for pods")


def test_a_deployment_that_nobody_has_looked_at_yet() -> None:
    fresh = {"metadata": {"name": "digits", "namespace": "kf-admin", "generation": 1}, "spec": {"replicas": 2}}
    assert status(fresh, [])["state"] == "Pending"


def test_running_but_not_ready_is_loading() -> None:
    found = status(deployment(), [pod(state=RUNNING)])
    assert found["state"] == "Progressing"
    assert "loaded" in found["message"]


def test_unschedulable_waits_and_says_why() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes: Insufficient memory."}
    found = status(deployment(), [pod(conditions=[condition])])
    assert found["state"] == "Pending"
    assert "Insufficient memory" in found["message"]


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled(reason: str) -> None:
    found = status(deployment(), [pod(state=waiting(reason, "no such image"))])
    assert found["state"] == "Failed"
    assert "kf/x:1" in found["message"]
    assert "no such image" in found["message"]


def test_a_crash_loop_gives_the_servers_last_words() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "INFO: x\nERROR: version 1 of digits: it cannot be loaded\n"}}
    found = status(deployment(), [pod(state=waiting("CrashLoopBackOff", "back-off 10s"), last=ended)])
    assert found["state"] == "Failed"
    assert "exit code 1: ERROR: version 1 of digits: it cannot be loaded" in found["message"]


def test_the_first_stop_is_told_at_once_and_not_forgotten_while_it_tries_again() -> None:
    ended = {"terminated": {"exitCode": 1, "message": "ERROR: no graph"}}
    found = status(deployment(), [pod(state=ended)])
    assert (found["state"], "exit code 1: ERROR: no graph" in found["message"]) == ("Failed", True)
    found = status(deployment(), [pod(state=RUNNING, last=ended)])
    assert (found["state"], "exit code 1: ERROR: no graph" in found["message"]) == ("Progressing", True)


def test_out_of_memory_names_the_remedy() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    found = status(deployment(), [pod(state=waiting("CrashLoopBackOff"), last=ended)])
    assert "higher memory limit" in found["message"]


def test_a_quota_that_lets_no_pod_be_made() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    found = status(deployment(replicas=0, updatedReplicas=0, conditions=[condition]), [])
    assert (found["state"], found["message"]) == ("Failed", "no pod can be made: exceeded quota")


def test_a_rollout_is_progressing_though_enough_are_ready() -> None:
    found = status(deployment(readyReplicas=1, replicas=2, updatedReplicas=1), [pod(state=RUNNING)])
    assert found["state"] == "Progressing"
    stale = deployment(readyReplicas=1)
    stale["status"]["observedGeneration"] = 2
    assert status(stale, [pod(state=RUNNING)])["state"] == "Progressing"


def test_a_bad_new_version_while_the_old_one_serves_is_not_failed() -> None:
    pods = [pod("old", state=RUNNING), pod("new", state=waiting("CrashLoopBackOff"))]
    found = status(deployment(readyReplicas=1, replicas=2), pods)
    assert found["state"] == "Progressing"
    assert found["message"].startswith("1 of 1 ready; a new pod does not come up")


def test_warning_events_explain_a_pod_that_says_nothing() -> None:
    event = {
        "type": "Warning",
        "reason": "FailedAttachVolume",
        "message": "Multi-Attach error for volume",
        "involvedObject": {"name": "digits-1"},
    }
    found = status(deployment(), [pod()], [event, {**event, "involvedObject": {"name": "other"}, "message": "no"}])
    assert (found["state"], found["message"]) == ("Pending", "Multi-Attach error for volume")


def test_pods_on_their_way_out_do_not_count() -> None:
    leaving = pod(state=waiting("CrashLoopBackOff"))
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:01Z"
    assert status(deployment(), [leaving])["state"] == "Pending"


def test_scaled_to_zero() -> None:
    found = status(deployment(wanted=0, replicas=0, updatedReplicas=0), [])
    assert found["state"] == "Pending"
    assert "zero" in found["message"]


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("The node was low on resource: memory. Threshold: 1", "a pod was evicted: its node ran out of memory"),
        ("Pod ephemeral local storage usage exceeds 1Gi.", "a pod was evicted: Pod ephemeral local storage usage"),
        ("", "a pod was evicted"),
    ],
)
def test_an_evicted_pod(message: str, words: str) -> None:
    found = status(deployment(), [pod(phase="Failed", reason="Evicted", message=message)])
    assert found["state"] == "Failed"
    assert found["message"].startswith(words)
