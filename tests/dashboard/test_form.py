"""The create form's fields become a TFJob; errors of the TFJob come back as errors of the fields. Pure."""

import copy
import re

import pytest

from kf_spawner.dashboard.form import FORM, REPLICA, VOLUME, draft
from kf_spawner.tfjob.validation import validate
from kf_spawner.wrong_input import FieldError

WORKER = {"type": "Worker", "image": "tf:1"}
VOLUMES = [{"claim": "data", "path": "/data"}, {"claim": "home", "path": "/home"}]
POD = "spec.tfReplicaSpecs.Worker.template.spec"
CONTAINER = f"{POD}.containers[0]"


def form(**fields) -> dict:
    return {"name": "mnist", "replicas": [WORKER], **fields}


def one(**fields) -> dict:
    return form(replicas=[{**WORKER, **fields}])


def to_manifest(answers: dict) -> dict:
    return draft(answers).require_valid().job


def container(manifest: dict, kind: str = "Worker") -> dict:
    return manifest["spec"]["tfReplicaSpecs"][kind]["template"]["spec"]["containers"][0]


def test_smallest_form_is_a_valid_job():
    manifest = to_manifest(form())
    assert validate(manifest) == []
    assert manifest["metadata"]["name"] == "mnist"
    assert "namespace" not in manifest["metadata"]
    assert manifest["spec"]["runPolicy"] == {"cleanPodPolicy": "Running"}
    replica = manifest["spec"]["tfReplicaSpecs"]["Worker"]
    assert (replica["replicas"], replica["restartPolicy"]) == (1, "Never")
    assert container(manifest) == {"name": "tensorflow", "image": "tf:1"}


def test_full_form():
    manifest = to_manifest(
        form(
            namespace="kf-ann",
            success_policy="AllWorkers",
            run_policy={"backoffLimit": "3", "activeDeadlineSeconds": None, "cleanPodPolicy": "", "suspend": True},
            replicas=[
                {"type": "chief", "image": " tf:1 "},
                {
                    "type": "Worker",
                    "count": "2",
                    "image": "tf:2",
                    "command": "python -u 'my program.py'",
                    "args": "--steps 10",
                    "env": [{"name": "A", "value": "b"}, {"name": "N", "value": 3}],
                    "cpu": "500m",
                    "memory": "1Gi",
                    "gpu": "1",
                    "restart_policy": "ExitCode",
                },
            ],
            volumes=[
                {"claim": "data", "path": "/data", "read_only": True},
                {"claim": "home", "path": "/home/jovyan"},
            ],
        )
    )
    assert validate(manifest) == []
    spec = manifest["spec"]
    assert manifest["metadata"]["namespace"] == "kf-ann"
    assert spec["successPolicy"] == "AllWorkers"
    assert spec["runPolicy"] == {"cleanPodPolicy": "Running", "backoffLimit": 3, "suspend": True}
    assert list(spec["tfReplicaSpecs"]) == ["Chief", "Worker"]
    assert (spec["tfReplicaSpecs"]["Worker"]["replicas"], container(manifest, "Chief")["image"]) == (2, "tf:1")
    assert container(manifest) == {
        "name": "tensorflow",
        "image": "tf:2",
        "command": ["python", "-u", "my program.py"],
        "args": ["--steps", "10"],
        "env": [{"name": "A", "value": "b"}, {"name": "N", "value": "3"}],
        "resources": {
            "requests": {"cpu": "500m", "memory": "1Gi"},
            "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"},
        },
        "volumeMounts": [
            {"name": "volume-0", "mountPath": "/data", "readOnly": True},
            {"name": "volume-1", "mountPath": "/home/jovyan"},
        ],
    }
    claims = [
        volume["persistentVolumeClaim"] for volume in spec["tfReplicaSpecs"]["Chief"]["template"]["spec"]["volumes"]
    ]
    assert claims == [{"claimName": "data"}, {"claimName": "home"}]


@pytest.mark.parametrize(
    ("answers", "fields"),
    [
        ({}, ["name", "replicas"]),
        ({"name": "", "replicas": []}, ["name", "replicas"]),
        (form(nme="x"), ["nme"]),
        (form(name=3), ["name"]),
        (form(replicas="many"), ["replicas"]),
        (form(replicas=[{}]), ["replicas[0].type", "replicas[0].image"]),
        (form(replicas=["x"]), ["replicas[0]"]),
        (form(replicas=[WORKER, {"type": "worker", "image": "tf:1"}]), ["replicas[1].type"]),
        (one(type="Boss"), ["replicas[0].type"]),
        (one(image="  "), ["replicas[0].image"]),
        (one(count="two"), ["replicas[0].count"]),
        (one(count=1.5), ["replicas[0].count"]),
        (one(count=True), ["replicas[0].count"]),
        (one(gpu="some"), ["replicas[0].gpu"]),
        (one(cpu="fast", memory="lots"), ["replicas[0].cpu", "replicas[0].memory"]),
        (one(cpu="-1", memory="1 GB"), ["replicas[0].cpu", "replicas[0].memory"]),
        (one(count="two", memory="lots"), ["replicas[0].count", "replicas[0].memory"]),
        ({**one(memory="lots"), "name": "Count!"}, ["name", "replicas[0].memory"]),
        (one(command="python 'x"), ["replicas[0].command"]),
        (one(args=["--x"]), ["replicas[0].args"]),
        (one(env={"A": "b"}), ["replicas[0].env"]),
        (one(env=[{"value": "b"}]), ["replicas[0].env[0].name"]),
        (one(env=["A=b"]), ["replicas[0].env[0]"]),
        (form(volumes=[{"claim": "data"}]), ["volumes[0].path"]),
        (form(volumes=[{"path": "/data", "read_only": "yes"}]), ["volumes[0].claim", "volumes[0].read_only"]),
        (
            form(replicas=[{"type": "Worker"}, {"type": "Boss"}], run_policy={"backoffLimit": -1}),
            [
                "replicas[0].image",
                "replicas[1].type",
                "replicas[1].image",
                "run_policy.backoffLimit",
            ],
        ),
        (form(run_policy="none"), ["run_policy"]),
    ],
)
def test_what_is_wrong_is_named_all_at_once(answers, fields):
    errors = draft(answers).errors
    assert [error.field for error in errors] == fields
    assert all(len(error.message) > 10 for error in errors)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("metadata.name", "name"),
        ("metadata.namespace", "namespace"),
        ("spec.runPolicy.backoffLimit", "run_policy.backoffLimit"),
        ("spec.runPolicy", "run_policy"),
        ("spec.successPolicy", "success_policy"),
        ("spec.tfReplicaSpecs", "replicas"),
        ("spec.tfReplicaSpecs.Worker.replicas", "replicas[1].count"),
        ("spec.tfReplicaSpecs.Worker.restartPolicy", "replicas[1].restart_policy"),
        ("spec.tfReplicaSpecs.Chief.template.spec.containers[0].image", "replicas[0].image"),
        ("spec.tfReplicaSpecs.Worker.template.spec.containers[0].env[2].name", "replicas[1].env[2].name"),
        ("spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.requests[memory]", "replicas[1].memory"),
        (
            "spec.tfReplicaSpecs.Worker.template.spec.containers[0].resources.limits[nvidia.com/gpu]",
            "replicas[1].gpu",
        ),
        (
            "spec.tfReplicaSpecs.Worker.template.spec.volumes[1].persistentVolumeClaim.claimName",
            "volumes[1].claim",
        ),
        ("spec.tfReplicaSpecs.Worker.template.spec.containers[0].volumeMounts[0].mountPath", "volumes[0].path"),
        ("spec.tfReplicaSpecs.Worker.template.spec.hostNetwork", "replicas[1]"),
        ("spec.other", "spec.other"),
    ],
)
def test_a_manifests_field_is_one_of_the_form(path, field):
    replicas = [{"type": "Chief", "image": "tf:1"}, WORKER]
    assert draft(form(replicas=replicas, volumes=VOLUMES)).fields.field_of(path) == field


FULL = form(
    namespace="kf-ann",
    success_policy="AllWorkers",
    run_policy={"backoffLimit": 1},
    replicas=[
        {
            "type": "Worker",
            "count": 1,
            "image": "tf:1",
            "command": "python main.py",
            "args": "--steps 10",
            "env": [{"name": "A", "value": "b"}],
            "cpu": "1",
            "memory": "1Gi",
            "gpu": 1,
            "restart_policy": "Never",
        }
    ],
    volumes=[{"claim": "data", "path": "/data", "read_only": True}],
)
OTHERS = {
    "name": ("other", "metadata.name"),
    "namespace": ("kf-bob", "metadata.namespace"),
    "success_policy": ("", "spec.successPolicy"),
    "run_policy.backoffLimit": (2, "spec.runPolicy.backoffLimit"),
    "replicas[0].type": ("Chief", "spec.tfReplicaSpecs.Worker"),
    "replicas[0].count": (2, "spec.tfReplicaSpecs.Worker.replicas"),
    "replicas[0].restart_policy": ("Always", "spec.tfReplicaSpecs.Worker.restartPolicy"),
    "replicas[0].image": ("tf:2", f"{CONTAINER}.image"),
    "replicas[0].command": ("python", f"{CONTAINER}.command[1]"),
    "replicas[0].args": ("--steps 11", f"{CONTAINER}.args[1]"),
    "replicas[0].env[0].name": ("B", f"{CONTAINER}.env[0].name"),
    "replicas[0].env[0].value": ("c", f"{CONTAINER}.env[0].value"),
    "replicas[0].cpu": ("2", f"{CONTAINER}.resources.requests[cpu]"),
    "replicas[0].memory": ("2Gi", f"{CONTAINER}.resources.limits[memory]"),
    "replicas[0].gpu": (2, f"{CONTAINER}.resources.limits[nvidia.com/gpu]"),
    "volumes[0].claim": ("other", f"{POD}.volumes[0].persistentVolumeClaim.claimName"),
    "volumes[0].path": ("/other", f"{CONTAINER}.volumeMounts[0].mountPath"),
    "volumes[0].read_only": (False, f"{CONTAINER}.volumeMounts[0].readOnly"),
}
"""A field of the form, another value for it, and the path of the manifest that the value changes."""


@pytest.mark.parametrize("field", OTHERS)
def test_a_field_and_its_path_are_found_from_each_other(field):
    value, path = OTHERS[field]
    other = copy.deepcopy(FULL)
    *outer, last = steps(field)
    at(other, outer)[last] = value
    assert at(to_manifest(FULL), steps(path)) != at(to_manifest(other), steps(path))
    named = draft(FULL).add([FieldError(path, "is refused")]).errors
    # A type is the replica's own place.
    assert named == (FieldError(field.removesuffix(".type"), "is refused"),)


def test_every_field_of_the_form_is_translated():
    tops = {field for field in OTHERS if "[" not in field} | {"replicas", "volumes"}
    assert {field.partition(".")[0] for field in tops} == set(FORM)
    replica = {field.removeprefix("replicas[0].") for field in OTHERS if field.startswith("replicas[0].")}
    assert {field.partition("[")[0] for field in replica} == set(REPLICA)
    assert {field.removeprefix("volumes[0].") for field in OTHERS if field.startswith("volumes")} == set(VOLUME)


def test_what_is_left_out_as_wrong_does_not_shift_the_numbers():
    answers = form(
        replicas=[{"type": "Boss", "image": "tf:1"}, WORKER],
        volumes=[{"claim": "data"}, {"claim": "home", "path": "/home"}],
    )
    found = draft(answers).add(
        [
            FieldError(f"{POD}.volumes[0].persistentVolumeClaim.claimName", "no"),
            FieldError(f"{CONTAINER}.image", "no"),
        ]
    )
    assert [error.field for error in found.errors] == [
        "replicas[0].type",
        "replicas[1].image",
        "volumes[0].path",
        "volumes[1].claim",
    ]


def steps(path: str) -> list[str | int]:
    found = re.findall(r"(?<=\[)[^\]]+(?=\])|[^.\[\]]+", path)
    return [int(step) if step.isdigit() else step for step in found]


def at(value, path: list):
    """What stands at the path; None where there is nothing."""
    for step in path:
        value = dict(enumerate(value)) if isinstance(value, list) else value or {}
        value = value.get(step)
    return value
