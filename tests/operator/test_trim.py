"""What is kept of a pod says the same as the whole pod, to every question that a decision asks."""

import pytest

from kf_spawner.k8s import times
from kf_spawner.operator.trim import trim_pod, trim_service
from kf_spawner.tfjob import pods

NOW = times.parse("2026-01-01T00:01:00Z")
META = {
    "name": "mnist-worker-0",
    "namespace": "kf-admin",
    "uid": "u1",
    "resourceVersion": "7",
    "annotations": {"note": "long"},
    "labels": {
        "training.kubeflow.org/operator-name": "tfjob-controller",
        "training.kubeflow.org/job-name": "mnist",
        "training.kubeflow.org/replica-type": "worker",
        "training.kubeflow.org/replica-index": "0",
        "team": "vision",
    },
    "ownerReferences": [{"kind": "TFJob", "name": "mnist", "uid": "j1", "controller": True}],
}
CONTAINER = {"name": "tensorflow", "image": "tf", "imageID": "sha256:1", "ready": False, "restartCount": 2}
UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes."}
DISRUPTED = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
OUT_OF_MEMORY = {"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-01T00:00:00Z"}}


def ended(code: int) -> dict:
    return {**CONTAINER, "state": {"terminated": {"exitCode": code, "finishedAt": "2026-01-01T00:00:00Z"}}}


def waiting(reason: str) -> dict:
    return {**CONTAINER, "state": {"waiting": {"reason": reason, "message": "why"}}}


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"phase": "Running", "containerStatuses": [CONTAINER], "conditions": [{"type": "Ready", "status": "True"}]},
        {"phase": "Failed", "containerStatuses": [ended(137)]},
        {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."},
        {"phase": "Failed", "containerStatuses": [ended(1)], "conditions": [DISRUPTED]},
        {"phase": "Pending", "conditions": [UNSCHEDULABLE]},
        {"phase": "Pending", "containerStatuses": [waiting("ImagePullBackOff")]},
        {"phase": "Pending", "initContainerStatuses": [waiting("CreateContainerConfigError")]},
        {"phase": "Succeeded", "containerStatuses": [ended(0)]},
        {"phase": "Running", "containerStatuses": [{**waiting("CrashLoopBackOff"), "lastState": OUT_OF_MEMORY}]},
    ],
)
@pytest.mark.parametrize("end", [{}, {"deletionTimestamp": "2026-01-01T00:00:30Z", "deletionGracePeriodSeconds": 30}])
def test_what_is_kept_answers_as_the_whole_does(status, end):
    spec = {"nodeName": "n1", "containers": [{"name": "tensorflow"}]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**META, **end}, "spec": spec, "status": status}
    kept = trim_pod(pod)
    assert pods.digest(kept) == pods.digest(pod)
    assert pods.node_of(kept) == "n1"
    assert pods.has_started(kept) == pods.has_started(pod)
    assert pods.late_nodes([kept], NOW) == pods.late_nodes([pod], NOW)
    assert pods.disruption(kept) == pods.disruption(pod)
    assert pods.why_ended(kept) == pods.why_ended(pod)
    assert pods.is_retryable(kept, "ExitCode") == pods.is_retryable(pod, "ExitCode")
    assert kept["metadata"].items() >= {**end, "name": "mnist-worker-0", "uid": "u1", "resourceVersion": "7"}.items()
    assert trim_pod(kept) == kept


def test_of_labels_and_annotations_only_ours_are_kept():
    kept = trim_service({"metadata": META, "spec": {"clusterIP": "None"}})
    assert "team" not in kept["metadata"]["labels"]
    assert len(kept["metadata"]["labels"]) == 4
    assert kept["metadata"]["ownerReferences"] == [{"name": "mnist", "uid": "j1", "controller": True}]
    assert kept.keys() == {"metadata"}
