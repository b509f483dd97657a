"""The create form's answers become a manifest; faults of the manifest come back as faults of the answers. Pure."""

import pytest

from kf_spawner.dashboard.form import field_of, to_manifest
from kf_spawner.tfjob.validation import TFJobInvalid, validate

WORKER = {"type": "Worker", "image": "tf:1"}


def form(**fields) -> dict:
    return {"name": "mnist", "replicas": [WORKER], **fields}


def one(**fields) -> dict:
    return form(replicas=[{**WORKER, **fields}])


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
        (form(volumes=[{"path": "/data", "read_only": "yes"}]), ["volumes[0].read_only", "volumes[0].claim"]),
        (form(run_policy="none"), ["run_policy"]),
    ],
)
def test_what_is_wrong_is_named_all_at_once(answers, fields):
    with pytest.raises(TFJobInvalid) as refused:
        to_manifest(answers)
    assert [error.field for error in refused.value.errors] == fields


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
    assert field_of(path, form(replicas=replicas)) == field
