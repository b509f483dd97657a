"""From a program's source and options to a job and its ConfigMap."""

import re

import pytest

from kf_spawner.tfjob.program import OPTIONS as ALL_OPTIONS
from kf_spawner.tfjob.program import from_program
from kf_spawner.tfjob.reconcile import decide
from kf_spawner.wrong_input import FieldError, WrongInput
from tests.tfjob.model import NOW

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


def made(options: dict) -> tuple[dict, dict]:
    """The program's ConfigMap and the TFJob."""
    draft = from_program(options).require_valid()
    assert draft.config_map is not None
    return draft.config_map, draft.job


def test_the_job():
    config_map, job = made(OPTIONS)
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
    job = made(OPTIONS)[1]
    job["metadata"].update(namespace="kf-admin", uid="1")
    assert len(decide(job, [], [], now=NOW).create) == 8


def test_the_least_that_is_needed():
    config_map, job = made({"name": "m", "program": "1", "image": "tf"})
    assert job["spec"]["tfReplicaSpecs"].keys() == {"Worker"}
    (container,) = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]["containers"]
    assert "workingDir" not in container
    assert "resources" not in container
    assert config_map["kind"] == "ConfigMap"


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
    ({"resources": {"cpu": "fast"}}, "resources.cpu", "500m"),
    ({"resources": {"memory": "-1Gi"}}, "resources.memory", "512Mi"),
    ({"resources": {"gpu": -1}}, "resources.gpu", "whole number"),
    ({"resources": {"gpu": True}}, "resources.gpu", "whole number"),
    ({"replicas": {"worker": 1, "Worker": 2}}, "replicas.Worker", "same type as worker"),
    ({"home_claim": 3}, "home_claim", "text"),
    ({"home_mount": ["/x"]}, "home_mount", "text"),
    ({"working_dir": 3}, "working_dir", "text"),
    ({"wrokers": 1}, "wrokers", "is not an option"),
])  # fmt: skip
def test_names_the_option_and_the_remedy(change, field, remedy):
    errors = from_program({**OPTIONS, **change}).errors
    assert [error.field for error in errors] == [field]
    assert remedy in errors[0].message


def test_all_problems_are_told_at_once_in_the_order_of_the_options():
    wrong = {
        "run_policy": {"backoffLimit": -1},
        "wrokers": 2,
        "name": "My Job",
        "image": "",
        "env": 3,
        "replicas": {"boss": 1, "chief": 2, "worker": 1},
        "resources": {"cpu": "fast", "memory": "lots", "gpu": 1},
        "restart_policy": "Maybe",
        "args": "x",
    }
    with pytest.raises(WrongInput) as caught:
        from_program(wrong).require_valid()
    assert [error.field for error in caught.value.errors] == [
        "wrokers",
        "name",
        "program",
        "image",
        "replicas.boss",
        "replicas.chief",
        "restart_policy",
        "env",
        "resources.cpu",
        "resources.memory",
        "args",
        "run_policy.backoffLimit",
    ]


BROKEN = {
    "name": "metadata.name",
    "image": "spec.tfReplicaSpecs.PS.template.spec.containers[0].image",
    "replicas": "spec.tfReplicaSpecs",
    "replicas.worker": "spec.tfReplicaSpecs.Worker.replicas",
    "replicas.ps": "spec.tfReplicaSpecs.PS.template.spec.hostNetwork",
    "restart_policy": "spec.tfReplicaSpecs.Worker.restartPolicy",
    "env": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].env[1].name",
    "resources": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.requests",
    "resources.cpu": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.requests[cpu]",
    "resources.memory": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.limits[memory]",
    "resources.gpu": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
    "args": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].command[4]",
    "home_claim": "spec.tfReplicaSpecs.Worker.template.spec.volumes[1].persistentVolumeClaim.claimName",
    "home_mount": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].volumeMounts[1].mountPath",
    "working_dir": "spec.tfReplicaSpecs.Worker.template.spec.containers[0].workingDir",
    "run_policy.backoffLimit": "spec.runPolicy.backoffLimit",
}
"""A field of the options, and the path of the manifest where the API server finds it wrong."""


@pytest.mark.parametrize(("option", "path"), BROKEN.items())
def test_an_error_of_the_manifest_names_the_option(option, path):
    draft = from_program(OPTIONS).add([FieldError(path, "is refused")])
    assert draft.errors == (FieldError(option, "is refused"),)
    assert changes_with(option, path), f"{option} does not become {path}"


def test_every_option_is_translated():
    assert {field.partition(".")[0] for field in BROKEN} == set(ALL_OPTIONS) - {"program"}
    assert from_program(OPTIONS).fields.field_of("data[main.py]") == "program"


OTHERS = {
    "name": "other",
    "image": "other",
    "replicas": {"ps": 2},
    "replicas.worker": 7,
    "replicas.ps": 0,
    "restart_policy": "Always",
    "env": {"OTHER": "1"},
    "resources": {"cpu": "7"},
    "resources.cpu": "7",
    "resources.memory": "7Gi",
    "resources.gpu": 7,
    "args": ["--other", "1"],
    "home_claim": "other",
    "home_mount": "/other",
    "working_dir": "/other",
    "run_policy.backoffLimit": 7,
}


def changes_with(option: str, path: str) -> bool:
    """Whether another value of the option changes the manifest at the path."""
    name, _, entry = option.partition(".")
    value = {**OPTIONS[name], entry: OTHERS[option]} if entry else OTHERS[option]
    return at(made(OPTIONS)[1], path) != at(made({**OPTIONS, name: value})[1], path)


def at(value, path: str):
    """What stands at the path: the innermost part that is there."""
    for step in re.findall(r"(?<=\[)[^\]]+(?=\])|[^.\[\]]+", path):
        inner = value[int(step)] if isinstance(value, list) else value.get(step, value)
        if inner is value or not isinstance(inner, dict | list):
            return inner
        value = inner
    return value
