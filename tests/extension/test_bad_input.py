"""Bad input at the REST interface: each answer names the field and the remedy, and nothing is left half-made."""

import json

import pytest
import yaml

from tests.fixtures.jupyter_server import IMAGE, run_server
from tests.fixtures.saved_model import saved_model

PROGRAM = "print('hello')\n"


def program(**options):
    return json.dumps({"program": {"name": "digits", "program": PROGRAM, **options}})


def manifest(*, container=None, spec=None, replica=None, **top):
    job = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "digits"},
        "spec": {
            "tfReplicaSpecs": {
                "Worker": {
                    "template": {
                        "spec": {
                            "containers": [{"name": "tensorflow", "image": IMAGE, **(container or {})}],
                            **(spec or {}),
                        }
                    },
                    **(replica or {}),
                }
            }
        },
        **top,
    }
    return json.dumps(job)


MISSING_CLAIM = {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "nowhere"}}]}

# what it is: (path, body, status, field, words of the message)
CASES = {
    "a body that is not JSON": ("tfjobs", "{", 400, "body", "not JSON"),
    "a body that is a list": ("tfjobs", "[]", 400, "body", "must be a JSON object"),
    "neither program nor manifest": ("tfjobs", "{}", 400, "body", "manifest"),
    "something beside the program": (
        "tfjobs",
        json.dumps({"program": {"name": "a", "program": PROGRAM}, "speed": 1}),
        400,
        "speed",
        "not an option",
    ),
    "a program that is not an object": ("tfjobs", '{"program": "print()"}', 400, "program", "must be an object"),
    "an unknown option": ("tfjobs", program(wokers=2), 400, "wokers", "use"),
    "no name": ("tfjobs", program(name=None), 400, "name", "give"),
    "a name that is none": ("tfjobs", program(name="Digits!"), 400, "name", "lower-case"),
    "a name too long for its replicas": ("tfjobs", program(name="a" * 60), 400, "name", "shorten"),
    "an empty program": ("tfjobs", program(program=" "), 400, "program", "give the source"),
    "an unknown replica type": ("tfjobs", program(replicas={"boss": 1}), 400, "replicas.boss", "use one of"),
    "fewer replicas than none": ("tfjobs", program(replicas={"worker": -1}), 400, "replicas.worker", "whole number"),
    "chief and master": ("tfjobs", program(replicas={"chief": 1, "master": 1}), 400, "replicas.master", "not both"),
    "an unknown restart policy": ("tfjobs", program(restart_policy="Maybe"), 400, "restart_policy", "use one of"),
    "an image that is blank": ("tfjobs", program(image=" "), 400, "image", "name the image"),
    "environment that is not text": ("tfjobs", program(env={"A": 1}), 400, "env", "texts"),
    "a claim that does not exist": (
        "tfjobs",
        program(home_claim="claim-nobody"),
        422,
        "home_claim",
        "claim-admin",
    ),
    "no amount of memory": ("tfjobs", program(resources={"memory": "much"}), 400, "resources.memory", "such as"),
    "memory below zero": ("tfjobs", program(resources={"memory": "-1Gi"}), 400, "resources.memory", "such as"),
    "an unknown run policy": ("tfjobs", program(run_policy={"backof": 1}), 422, "run_policy.backof", "unknown field"),
    "a variable's name that is none": ("tfjobs", program(env={"A=B": "1"}), 422, "env", "Invalid value"),
    "a program too large": ("tfjobs", program(program="#" * 950_000), 413, "body", "home volume"),
    "another kind": ("tfjobs", manifest(kind="Job"), 400, "kind", "TFJob"),
    "another namespace": (
        "tfjobs",
        manifest(metadata={"name": "digits", "namespace": "default"}),
        403,
        "metadata.namespace",
        "leave the namespace out",
    ),
    "metadata that is a text": ("tfjobs", manifest(metadata="digits"), 400, "metadata", "object"),
    "a manifest without replicas": (
        "tfjobs",
        json.dumps({**json.loads(manifest()), "spec": {}}),
        400,
        "spec.tfReplicaSpecs",
        "name at",
    ),
    "a version that is a list": ("tfjobs", manifest(apiVersion=["v1"]), 400, "kind", "can be made"),
    "half of a character": ("tfjobs", program(program="\ud800"), 400, "body", "half of a character"),
    "a claim that leads elsewhere": ("tfjobs", program(home_claim="../pods"), 422, "home_claim", "claim-admin"),
    "an unknown field of a manifest": (
        "tfjobs",
        json.dumps({**json.loads(manifest()), "sepc": {}}),
        422,
        "sepc",
        "unknown field",
    ),
    "an unknown field of a container": (
        "tfjobs",
        manifest(container={"imagePolicy": "Always"}),
        422,
        "spec.tfReplicaSpecs.Worker.template.spec.containers[0].imagePolicy",
        "unknown field",
    ),
    "a mount of no volume": (
        "tfjobs",
        manifest(container={"volumeMounts": [{"name": "none", "mountPath": "/x"}]}),
        422,
        "spec.tfReplicaSpecs.Worker.template.spec.containers[0].volumeMounts[0].name",
        "none",
    ),
    "a manifest with a claim that does not exist": (
        "tfjobs",
        manifest(spec=MISSING_CLAIM),
        422,
        "spec.tfReplicaSpecs.Worker.template.spec.volumes[0].persistentVolumeClaim.claimName",
        "nowhere",
    ),
    "an unknown option of an endpoint": (
        "endpoints",
        '{"name": "m", "path": "~/m", "speed": 1}',
        400,
        "speed",
        "options",
    ),
    "an endpoint without a path": ("endpoints", '{"name": "m"}', 400, "path", "SavedModel"),
    "a model that is not there": ("endpoints", '{"name": "m", "path": "~/nothing"}', 422, "path", "does not exist"),
    "a model outside of the volume": ("endpoints", '{"name": "m", "path": "/etc"}', 422, "path", "home volume"),
    "a path too long": ("endpoints", json.dumps({"name": "m", "path": "x" * 300}), 422, "path", "File name too long"),
    "a folder without a model": ("endpoints", '{"name": "m", "path": "~/empty"}', 422, "path", "no SavedModel"),
    "a link that leads off the volume": ("endpoints", '{"name": "m", "path": "~/link"}', 422, "path", "home volume"),
    "a version that leads off the volume": (
        "endpoints",
        '{"name": "m", "path": "~/linked"}',
        422,
        "path",
        "no SavedModel",
    ),
    "an endpoint's name that is none": ("endpoints", '{"name": "M!", "path": "~/model"}', 400, "name", "lower-case"),
    "a negative number of replicas": (
        "endpoints",
        '{"name": "m", "path": "~/model", "replicas": -1}',
        400,
        "replicas",
        "out of range",
    ),
}


@pytest.fixture
def folders(workspace, tmp_path):
    """What the paths of the table lead to."""
    outside = tmp_path / "outside"
    for folder in (workspace.home / "empty", workspace.home / "model" / "1", workspace.home / "linked", outside):
        folder.mkdir(parents=True)
    for folder in (workspace.home / "model" / "1", outside):
        (folder / "saved_model.pb").write_bytes(saved_model())
    (workspace.home / "link").symlink_to(outside)
    (workspace.home / "linked" / "1").symlink_to(outside)


async def test_bad_input_names_field_and_remedy_and_leaves_nothing(server, workspace, folders, subtests):
    for what, (path, body, wanted, field, words) in CASES.items():
        with subtests.test(what):
            status, answer = await server.call("POST", path, data=body)
            assert status == wanted or status in (wanted if isinstance(wanted, tuple) else ()), answer
            assert answer.get("field") == field, answer
            assert words in answer["message"], answer
            assert answer["reason"]
    assert await workspace.leftovers() == {}


async def test_what_we_and_the_cluster_find_is_told_in_one_answer(server, workspace):
    """Options: the name by us, the claim and the variable by the cluster."""
    body = program(name="Digits!", home_claim="nowhere", env={"A=B": "1"}, run_policy={"backof": 1})
    status, answer = await server.call("POST", "tfjobs", data=body)
    assert status == 400
    assert [error["field"] for error in answer["errors"]] == ["name", "env", "home_claim", "run_policy.backof"]
    for error in answer["errors"]:
        assert error["message"] in answer["message"]
    assert await workspace.leftovers() == {}


async def test_a_manifest_has_all_its_errors_in_one_answer(server, workspace):
    container = {
        "name": "tensorflow",
        "image": "tf",
        "imagePolicy": "Always",
        "resources": {"limits": {"memory": "much", "cpu": "fast"}},
        "volumeMounts": [{"name": "none", "mountPath": "/x"}],
    }
    template = {"spec": {"containers": [container], **MISSING_CLAIM}}
    spec = {"tfReplicaSpecs": {"Worker": {"template": template}}, "speed": 1}
    status, answer = await server.call("POST", "tfjobs", data=json.dumps({**json.loads(manifest()), "spec": spec}))
    assert status == 422
    pod = "spec.tfReplicaSpecs.Worker.template.spec"
    assert sorted(error["field"] for error in answer["errors"]) == sorted(
        [
            f"{pod}.volumes[0].persistentVolumeClaim.claimName",
            f"{pod}.containers[0].imagePolicy",
            f"{pod}.containers[0].resources.limits[cpu]",
            f"{pod}.containers[0].resources.limits[memory]",
            f"{pod}.containers[0].volumeMounts[0].name",
            "spec.speed",
        ]
    )
    assert await workspace.leftovers() == {}


async def test_an_endpoint_has_all_its_errors_in_one_answer(server, workspace):
    resources = {"limits": {"memory": "much"}}
    body = {"name": "M!", "path": "~/nothing", "replicas": 0, "resources": resources, "speed": 1}
    status, answer = await server.call("POST", "endpoints", data=json.dumps(body))
    assert status == 400
    fields = [error["field"] for error in answer["errors"]]
    assert fields == ["speed", "name", "path", "replicas", "resources.limits[memory]"]
    assert await workspace.leftovers() == {}


async def test_what_the_cluster_refuses_in_an_endpoint_names_the_option(server, workspace, folders):
    resources = {"requests": {"memory": "2Gi", "nvidia.com/gpu": 1}, "limits": {"memory": "1Gi"}}
    body = {"name": "m", "path": "~/model", "resources": resources}
    status, answer = await server.call("POST", "endpoints", data=json.dumps(body))
    assert status == 422
    assert {error["field"].partition(".")[0] for error in answer["errors"]} == {"resources"}
    assert len(answer["errors"]) == 2
    assert await workspace.leftovers() == {}


async def test_yaml_that_is_none_and_two_documents(server, workspace):
    for text, words in (
        ("a: [", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "2 documents"),
        (yaml.safe_dump({"a": 1}), "kind"),
    ):
        status, answer = await server.call("POST", "tfjobs", data=text, headers={"Content-Type": "application/yaml"})
        assert status == 400
        assert words in answer["message"], answer
    assert await workspace.leftovers() == {}


async def test_what_is_not_there(server):
    for method, path, field in (
        ("GET", "tfjobs/nothing", "name"),
        ("DELETE", "tfjobs/nothing", "name"),
        ("GET", "tfjobs/nothing/logs", "name"),
        ("GET", "tfjobs/nothing/watch", "name"),
        ("GET", "tfjobs/nothing/events", "name"),
        ("GET", "tfjobs/nothing%2F..%2F..%2Fpods", "name"),
        ("GET", "tfjobs/nothing%3Fwatch=1", "name"),
        ("GET", "endpoints/nothing", "name"),
        ("GET", "endpoints/nothing/logs", "name"),
        ("DELETE", "endpoints/nothing", "name"),
    ):
        status, answer = await server.call(method, path)
        assert (status, answer["reason"], answer["field"]) == (404, "NotFound", field), path
        assert "nothing" in answer["message"]
        assert "lists them all" in answer["message"]


async def test_a_replica_that_the_job_has_not_and_a_flag_that_is_none(server):
    await server.call("POST", "tfjobs", data=program(replicas={"worker": 2}))
    status, answer = await server.call("GET", "tfjobs/digits/logs?replica=worker-2")
    assert (status, answer["field"]) == (404, "replica")
    assert "worker-0, worker-1" in answer["message"]
    status, answer = await server.call("GET", "tfjobs/digits/logs?follow=perhaps")
    assert (status, answer["field"]) == (400, "follow")


async def test_a_server_without_home_volume_image_or_cluster_says_so(workspace, tmp_path):
    variables = {"KF_HOME_CLAIM": "", "KF_HOME_MOUNT": "", "KF_IMAGE": ""}
    async with run_server(workspace, tmp_path, variables=variables) as server:
        status, answer = await server.call("POST", "endpoints", data='{"name": "m", "path": "~/m"}')
        assert (status, answer["reason"], answer["field"]) == (422, "NoVolume", "path")
        status, answer = await server.call("POST", "tfjobs", data=program())
        assert (status, answer["field"]) == (400, "image")
    async with run_server(workspace, tmp_path, variables={"KUBECONFIG": str(tmp_path / "none")}) as server:
        status, answer = await server.call("GET", "tfjobs")
        assert (status, answer["reason"]) == (503, "NoCluster")
