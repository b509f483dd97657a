"""What the dashboard says of a job, and what may be changed of it. Pure."""

import json

import pytest
import yaml

from kf_spawner.dashboard import job_detail
from kf_spawner.dashboard.caller import Caller, caller_of
from kf_spawner.dashboard.changes import patch_of
from kf_spawner.workloads.errors import RequestError


def job(*, conditions=(), **spec) -> dict:
    replicas = {kind: {"replicas": 2, "template": {"spec": {"containers": [{"name": "tensorflow", "image": "tf:1"}]}}}
                for kind in ("worker", "PS")}  # fmt: skip
    replicas["Chief"] = {"template": replicas["PS"]["template"]}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {
            "name": "mnist",
            "namespace": "kf-ann",
            "uid": "job-uid",
            "resourceVersion": "7",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "mine"},
            "managedFields": [],
        },
        "spec": {"tfReplicaSpecs": replicas, **spec},
        "status": {
            "conditions": [{"type": kind, "status": "True", "reason": f"TFJob{kind}"} for kind in conditions],
            "replicaStatuses": {"Chief": {"active": 1}, "PS": None, "Worker": {"active": 1, "failed": 2}},
            "tasks": {"worker-1": {"restarts": 2}},
        },
    }


def pod(kind: str, index: int, *, config: str = "", **status) -> dict:
    env = [{"name": "TF_CONFIG", "value": config}] if config else []
    return {
        "metadata": {
            "name": f"mnist-{kind}-{index}",
            "uid": f"{kind}-{index}-uid",
            "labels": {
                "training.kubeflow.org/job-name": "mnist",
                "training.kubeflow.org/replica-type": kind,
                "training.kubeflow.org/replica-index": str(index),
            },
        },
        "spec": {"nodeName": "one", "containers": [{"name": "tensorflow", "image": "tf:1", "env": env}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1", **status},
    }


def test_row():
    row = job_detail.row(job(conditions=["Created", "Running"], runPolicy={"suspend": True}))
    assert (row["state"], row["reason"], row["suspended"]) == ("Running", "TFJobRunning", True)
    assert row["wanted"] == {"worker": 2, "ps": 2, "chief": 1}
    assert row["counts"] == {"active": 2, "succeeded": 0, "failed": 2}
    assert "replicas" not in row


def test_detail_has_every_replica_in_order():
    config = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}
    ran = {"name": "tensorflow", "restartCount": 1, "state": {"terminated": {"exitCode": 3, "reason": "Error",
           "startedAt": "2026-01-02T03:04:06Z", "finishedAt": "2026-01-02T03:04:09Z"}}}  # fmt: skip
    pods = [pod("worker", 1, config=json.dumps(config), phase="Failed", containerStatuses=[ran]), pod("ps", 5)]
    seen = job_detail.detail(job(conditions=["Created"]), pods, [])
    names = [view["replica"] for view in seen["replicas"]]
    assert names == ["chief-0", "ps-0", "ps-1", "ps-5", "worker-0", "worker-1"]
    chief, *_, worker = seen["replicas"]
    assert (chief["pod"], chief["state"], chief["phase"]) == (None, "Waiting for a pod", None)
    assert (worker["state"], worker["exit_code"], worker["node"], worker["ip"]) == ("Failed", 3, "one", "10.0.0.1")
    assert worker["restarts"] == 3  # two pods before this one, and one restart within it
    assert worker["tf_config"] == config
    assert (worker["started"], worker["finished"]) == ("2026-01-02T03:04:06Z", "2026-01-02T03:04:09Z")
    assert seen["scalable"] == {"worker": 2, "PS": 2}


def test_an_ended_job_waits_for_no_pods_and_cannot_be_scaled():
    seen = job_detail.detail(job(conditions=["Created", "Succeeded"]), [], [])
    assert {view["state"] for view in seen["replicas"]} == {"No pod"}
    assert (seen["ended"], seen["scalable"]) == (True, {})


def test_yaml_is_what_would_make_the_job_again():
    program = "import os\nprint(1)\n"
    text = job_detail.as_yaml({"a": program, "b": "x"})
    assert "a: |\n" in text
    assert yaml.safe_load(text) == {"a": program, "b": "x"}
    rocket = {"args": "echo 🚀\necho\n", "same": [one := {"a": 1}, one]}
    assert job_detail.as_yaml(rocket) == "args: |\n  echo 🚀\n  echo\nsame:\n- a: 1\n- a: 1\n"
    long = {**rocket, "long": "x\n" * 10_000}
    assert job_detail.as_yaml(long).endswith("same:\n- a: 1\n- a: 1\nlong: |\n" + "  x\n" * 10_000)
    assert yaml.safe_load(job_detail.as_yaml(long)) == long
    manifest = yaml.safe_load(job_detail.detail(job(), [], [])["yaml"])
    assert manifest["metadata"] == {"name": "mnist", "namespace": "kf-ann", "annotations": {"note": "mine"}}
    assert "status" not in manifest


@pytest.mark.parametrize(
    ("changes", "spec"),
    [
        ({"suspend": True}, {"runPolicy": {"suspend": True}}),
        ({"replicas": {"Worker": 3}}, {"tfReplicaSpecs": {"worker": {"replicas": 3}}}),
        (
            {"replicas": {"ps": 0, "WORKER": 1}},
            {"tfReplicaSpecs": {"PS": {"replicas": 0}, "worker": {"replicas": 1}}},
        ),
    ],
)
def test_a_patch_touches_what_was_asked_for(changes, spec):
    assert patch_of(job(), changes) == {"metadata": {"uid": "job-uid"}, "spec": spec}


@pytest.mark.parametrize("changes", [{"suspend": True}, {"replicas": {"Worker": 2}}])
def test_nothing_is_sent_for_what_is_so_already(changes):
    assert patch_of(job(runPolicy={"suspend": True}), changes) is None


@pytest.mark.parametrize(
    ("changes", "status", "field"),
    [
        ({}, 400, "body"),
        ({"pause": True}, 400, "pause"),
        ({"suspend": "yes"}, 400, "suspend"),
        ({"suspend": None}, 400, "suspend"),
        ({"replicas": 3}, 400, "replicas"),
        ({"replicas": {}}, 400, "replicas"),
        ({"replicas": {"Evaluator": 1}}, 422, "replicas.Evaluator"),
        ({"replicas": {"Chief": 2}}, 422, "replicas.Chief"),
        ({"replicas": {"Worker": -1}}, 422, "replicas.Worker"),
        ({"replicas": {"Worker": "3"}}, 422, "replicas.Worker"),
        ({"replicas": {"Worker": None}}, 400, "replicas.Worker"),
        ({"replicas": {"Worker": 100000}}, 422, "replicas.Worker"),
    ],
)
def test_wrong_changes_are_refused(changes, status, field):
    with pytest.raises(RequestError) as refused:
        patch_of(job(), changes)
    assert (refused.value.status, refused.value.field) == (status, field)


def test_an_ended_job_cannot_be_changed():
    with pytest.raises(RequestError) as refused:
        patch_of(job(conditions=["Failed"]), {"suspend": True})
    assert (refused.value.status, refused.value.reason) == (409, "Ended")


def test_who_may_use_which_namespace():
    ann, root = Caller("ann"), Caller("root", admin=True)
    assert [ann.may(name) for name in ("kf-ann", "kf-bob", "default", "kube-system")] == [True, False, False, False]
    assert [root.may(name) for name in ("kf-ann", "kf-root", "default", "kf-/../x")] == [True, True, False, False]


def test_a_service_is_no_caller():
    assert caller_of({"kind": "service", "name": "ann", "admin": True}) is None
    assert caller_of({"kind": "user", "name": "ann"}) == Caller("ann", admin=False)
