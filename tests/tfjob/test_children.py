"""Pods, services and TF_CONFIG as the contract has them."""

import json

import pytest

from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.builders import job, template
from tests.tfjob.model import NOW

PREFIX = "training.kubeflow.org/"


def children(spec: dict, kind: str = "Pod", **options) -> dict[str, dict]:
    plan = decide(spec, [], [], now=NOW, **options)
    return {item["metadata"]["name"]: item for item in plan.create if item["kind"] == kind}


def tf_config(pod: dict) -> dict | None:
    env = pod["spec"]["containers"][0].get("env") or []
    values = [entry["value"] for entry in env if entry["name"] == "TF_CONFIG"]
    assert len(values) < 2
    return json.loads(values[0]) if values else None


def test_one_pod_and_one_service_a_replica():
    spec = job(Worker=2, PS=1, Chief=1, Evaluator=1)
    names = ["mnist-chief-0", "mnist-ps-0", "mnist-worker-0", "mnist-worker-1", "mnist-evaluator-0"]
    assert list(children(spec)) == names
    assert list(children(spec, "Service")) == names


def test_tf_config_is_exact():
    pods = children(job(Worker=2, PS=1, Chief=1))
    assert tf_config(pods["mnist-worker-1"]) == {
        "cluster": {
            "chief": ["mnist-chief-0.kf-admin.svc:2222"],
            "ps": ["mnist-ps-0.kf-admin.svc:2222"],
            "worker": ["mnist-worker-0.kf-admin.svc:2222", "mnist-worker-1.kf-admin.svc:2222"],
        },
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    assert tf_config(pods["mnist-ps-0"])["task"] == {"type": "ps", "index": 0}


def test_a_job_of_one_replica_has_no_tf_config():
    assert tf_config(children(job(Worker=1))["mnist-worker-0"]) is None


def test_the_evaluator_knows_the_cluster_but_is_not_in_it():
    pods = children(job(Chief=1, Worker=1, Evaluator=1))
    for pod in pods.values():
        assert "evaluator" not in tf_config(pod)["cluster"]
    assert tf_config(pods["mnist-evaluator-0"])["task"] == {"type": "evaluator", "index": 0}


def test_the_domain_is_appended():
    pod = children(job(Worker=2), cluster_domain="cluster.local")["mnist-worker-0"]
    assert tf_config(pod)["cluster"]["worker"][0] == "mnist-worker-0.kf-admin.svc.cluster.local:2222"


def test_a_dynamic_worker_sees_itself_and_the_parameter_servers():
    spec = job(Worker=3, PS=2)
    spec["spec"]["enableDynamicWorker"] = True
    assert tf_config(children(spec)["mnist-worker-1"]) == {
        "cluster": {
            "ps": ["mnist-ps-0.kf-admin.svc:2222", "mnist-ps-1.kf-admin.svc:2222"],
            "worker": {"1": "mnist-worker-1.kf-admin.svc:2222"},
        },
        "task": {"type": "worker", "index": 1},
    }


def test_a_users_own_port_is_kept():
    spec = job(Worker=2)
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"] = template(
        ports=[{"name": "tfjob-port", "containerPort": 5000}, {"name": "board", "containerPort": 6006}]
    )
    pod = children(spec)["mnist-worker-0"]
    service = children(spec, "Service")["mnist-worker-0"]
    assert [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]] == [5000, 6006]
    assert tf_config(pod)["cluster"]["worker"][0].endswith(":5000")
    assert service["spec"]["ports"] == [{"name": "tfjob-port", "port": 5000}, {"name": "board", "port": 6006}]


def test_labels_owner_and_role():
    spec = job(Worker=2)
    spec["spec"]["tfReplicaSpecs"]["Worker"]["template"]["metadata"] = {
        "labels": {"team": "vision"},
        "annotations": {"note": "x"},
    }
    pods = children(spec)
    meta = pods["mnist-worker-0"]["metadata"]
    assert meta["labels"] == {
        "team": "vision",
        PREFIX + "operator-name": "tfjob-controller",
        PREFIX + "job-name": "mnist",
        PREFIX + "replica-type": "worker",
        PREFIX + "replica-index": "0",
        PREFIX + "job-role": "master",
    }
    assert meta["annotations"] == {"note": "x"}
    assert meta["ownerReferences"] == [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "name": "mnist",
            "uid": "job-mnist",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert PREFIX + "job-role" not in pods["mnist-worker-1"]["metadata"]["labels"]


@pytest.mark.parametrize(("counts", "leader"), [
    ({"Chief": 1, "Worker": 2}, "mnist-chief-0"),
    ({"Master": 1, "Worker": 2}, "mnist-master-0"),
    ({"PS": 1, "Worker": 2}, "mnist-worker-0"),
])  # fmt: skip
def test_the_leader_has_the_role(counts, leader):
    pods = children(job(**counts))
    assert [name for name, pod in pods.items() if PREFIX + "job-role" in pod["metadata"]["labels"]] == [leader]


def test_the_service_is_headless_and_leads_to_its_pod():
    service = children(job(Worker=2), "Service")["mnist-worker-1"]
    pod = children(job(Worker=2))["mnist-worker-1"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize(("given", "made"), [
    (None, "Never"), ("Never", "Never"), ("OnFailure", "OnFailure"), ("Always", "Always"), ("ExitCode", "Never"),
])  # fmt: skip
def test_restart_policy_of_the_pod(given, made):
    assert children(job(Worker=1, restart=given))["mnist-worker-0"]["spec"]["restartPolicy"] == made


def test_the_users_job_is_not_changed():
    spec = job(Worker=2, PS=1)
    before = json.dumps(spec)
    decide(spec, [], [], now=NOW)
    assert json.dumps(spec) == before
