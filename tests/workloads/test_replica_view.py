"""What a notebook and the dashboard say of a replica, in words."""

import pytest

from kf_spawner.workloads.job_view import replica_view

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
        "metadata": {"name": "mnist-worker-0", "labels": labels},
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
