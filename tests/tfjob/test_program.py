"""From a program's source and options to a job and its ConfigMap."""

import pytest

from kf_spawner.tfjob.program import from_program, owned_by
from kf_spawner.tfjob.reconcile import decide
from kf_spawner.tfjob.validation import TFJobInvalid
from tests.tfjob.world import NOW

OPTIONS = {
    "name": "mnist",
    "program": "print('hello')\n",
    "replicas": {"chief": 1, "worker": 2, "ps": 1, "evaluator": 0},
    "image": "tf:2",
    "env": {"EPOCHS": "3"},
    "resources": {"cpu": "500m", "memory": "1Gi", "gpu": 1},
    "args": ["--lr", "0.1"],
    "restart_policy": "OnFailure",
    "home_claim": "claim-admin",
    "home_mount": "/home/jovyan",
    "run_policy": {"backoffLimit": 2},
}


def test_the_job():
    config_map, job = from_program(OPTIONS)
    assert {kind: spec["replicas"] for kind, spec in job["spec"]["tfReplicaSpecs"].items()} == {
        "Chief": 1,
        "Worker": 2,
        "PS": 1,
    }
    assert job["spec"]["runPolicy"] == {"cleanPodPolicy": "Running", "backoffLimit": 2}
    spec = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["command"] == ["python", "-u", "/opt/kf-spawner/program/main.py", "--lr", "0.1"]
    assert container["workingDir"] == "/home/jovyan"
    assert {"name": "HOME", "value": "/home/jovyan"} in container["env"]
    assert {"name": "EPOCHS", "value": "3"} in container["env"]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "1Gi"},
        "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"},
    }
    claims = [v["persistentVolumeClaim"]["claimName"] for v in spec["volumes"] if "persistentVolumeClaim" in v]
    assert claims == ["claim-admin"]
    assert spec["automountServiceAccountToken"] is False
    assert config_map["data"] == {"main.py": "print('hello')\n"}
    volume = next(volume for volume in spec["volumes"] if "configMap" in volume)
    assert volume["configMap"]["name"] == config_map["metadata"]["name"]


def test_the_operator_runs_it():
    job = from_program(OPTIONS)[1]
    job["metadata"].update(namespace="kf-admin", uid="1")
    assert len(decide(job, [], [], now=NOW).create) == 8


def test_the_least_that_is_needed():
    config_map, job = from_program({"name": "m", "program": "1", "image": "tf"})
    assert job["spec"]["tfReplicaSpecs"].keys() == {"Worker"}
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert "workingDir" not in container
    assert "resources" not in container
    assert config_map["kind"] == "ConfigMap"


def test_the_config_map_goes_with_the_job():
    config_map, job = from_program(OPTIONS)
    job["metadata"]["uid"] = "u1"
    assert owned_by(config_map, job)["metadata"]["ownerReferences"] == [
        {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "mnist", "uid": "u1"}
    ]
    assert "ownerReferences" not in config_map["metadata"]


@pytest.mark.parametrize(("change", "field", "remedy"), [
    ({"name": "My Job"}, "name", "lower-case"),
    ({"name": None}, "name", "give the job a name"),
    ({"name": "m" * 60}, "name", "shorten"),
    ({"program": " "}, "program", "give the source"),
    ({"program": "x" * 900_001}, "program", "home volume"),
    ({"image": ""}, "image", "name the image"),
    ({"replicas": {"wroker": 1}}, "replicas.wroker", "chief, master, ps, worker, evaluator"),
    ({"replicas": {"worker": -1}}, "replicas.worker", "from 0"),
    ({"replicas": {"worker": "2"}}, "replicas.worker", "whole number"),
    ({"replicas": {"chief": 2}}, "replicas.chief", "one Chief at most"),
    ({"replicas": {"worker": 0}}, "replicas", "at least one"),
    ({"replicas": {"chief": 1, "master": 1}}, "replicas.master", "not both"),
    ({"replicas": [1]}, "replicas", "must map"),
    ({"replicas": 0}, "replicas", "must map"),
    ({"restart_policy": "Maybe"}, "restart_policy", "'OnFailure'"),
    ({"run_policy": {"backoffLimit": -1}}, "run_policy.backoffLimit", "0 or more"),
    ({"run_policy": "x"}, "run_policy", "object"),
    ({"run_policy": False}, "run_policy", "object"),
    ({"env": {"A": 1}}, "env", "texts"),
    ({"env": ""}, "env", "texts"),
    ({"args": "x"}, "args", "list"),
    ({"args": 0}, "args", "list"),
    ({"resources": []}, "resources", "cpu, memory, gpu"),
    ({"resources": {"disk": 1}}, "resources", "cpu, memory, gpu"),
    ({"wrokers": 1}, "wrokers", "is not an option"),
])  # fmt: skip
def test_names_the_option_and_the_remedy(change, field, remedy):
    with pytest.raises(TFJobInvalid) as caught:
        from_program({**OPTIONS, **change})
    assert remedy in {error.field: error.message for error in caught.value.errors}[field]
