"""TFJobs over REST, against the real API server: made whole, listed, refused with a message, deleted."""

import asyncio

import yaml

from kf_spawner.kube.resources import CONFIGMAPS
from kf_spawner.tfjob.names import TFJOBS
from tests.fixtures.jupyter_server import IMAGE
from tests.fixtures.user_namespace import CLAIM

PROGRAM = "print('hello')\n"


def program(name="digits", **options):
    return {"program": {"name": name, "program": PROGRAM, **options}}


async def test_a_program_becomes_a_job_that_owns_it(server, workspace):
    status, view = await server.call("POST", "tfjobs", json=program(replicas={"worker": 2, "ps": 1}))
    assert status == 201, view
    assert (view["name"], view["state"], view["wanted"]) == ("digits", "Pending", {"worker": 2, "ps": 1})
    job = await workspace.admin.get(TFJOBS, "digits", workspace.namespace)
    pod = job["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE
    assert CLAIM in str(pod["volumes"])
    [config_map] = await programs(workspace)
    assert config_map["data"] == {"main.py": PROGRAM}
    assert [owner["uid"] for owner in config_map["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]
    mounted = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
    assert mounted == [config_map["metadata"]["name"]]


async def test_a_manifest_in_yaml_becomes_a_job(server, workspace):
    status, _ = await server.call("POST", "tfjobs", json=program("shape"))
    assert status == 201
    _, shape = await server.call("GET", "tfjobs/shape")
    manifest = {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "by-hand"},
        "spec": {
            "tfReplicaSpecs": {
                "Worker": {"template": {"spec": {"containers": [{"name": "tensorflow", "image": IMAGE}]}}}
            }
        },
    }
    status, view = await server.call(
        "POST", "tfjobs", data=yaml.safe_dump(manifest), headers={"Content-Type": "application/yaml"}
    )
    assert (status, view.get("wanted")) == (201, {"worker": 1}), view
    status, listed = await server.call("GET", "tfjobs")
    assert {item["name"] for item in listed["items"]} == {"by-hand", "shape"}
    assert shape["manifest"]["spec"]["tfReplicaSpecs"]


async def test_deleting_takes_the_program_along_and_frees_the_name(server, workspace):
    await server.call("POST", "tfjobs", json=program())
    status, answer = await server.call("DELETE", "tfjobs/digits")
    assert (status, answer["deleting"]) == (202, True)
    async with asyncio.timeout(120):  # the garbage collector looks for new kinds every 30 seconds
        while await workspace.leftovers():
            await asyncio.sleep(0.1)
    assert (await server.call("GET", "tfjobs/digits"))[0] == 404
    status, _ = await server.call("POST", "tfjobs", json=program())
    assert status == 201


async def test_a_name_in_use_is_refused_and_leaves_the_first_job_alone(server, workspace):
    await server.call("POST", "tfjobs", json=program())
    before = await programs(workspace)
    status, answer = await server.call("POST", "tfjobs", json=program(replicas={"worker": 3}))
    assert (status, answer["reason"], answer["field"]) == (409, "NameInUse", "name")
    assert "digits" in answer["message"]
    assert await programs(workspace) == before


async def test_who_brings_no_token_gets_nothing(server):
    for method, path in (("GET", "tfjobs"), ("POST", "tfjobs"), ("DELETE", "endpoints/x"), ("GET", "tfjobs/x/watch")):
        async with server.session.request(method, f"{server.url}kf/api/v1/{path}") as response:
            assert response.status == 403, path
            assert "message" in await response.json()


async def test_the_account_can_do_nothing_beyond_its_namespace_and_no_pods(server, workspace):
    from kf_spawner.kube import Client, Forbidden, load_config
    from kf_spawner.kube.resources import PODS, SECRETS

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "mine"},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    refused = []
    async with Client(load_config(workspace.kubeconfig), user_agent="test") as user:
        attempts = {
            "make a pod": user.create(PODS, pod, workspace.namespace),
            "read secrets": user.list(SECRETS, workspace.namespace),
            "list jobs elsewhere": user.list(TFJOBS, "default"),
            "list all programs": user.list(CONFIGMAPS),
        }
        for what, attempt in attempts.items():
            try:
                await attempt
            except Forbidden:
                refused.append(what)
    assert refused == list(attempts)


async def programs(workspace):
    found = (await workspace.admin.list(CONFIGMAPS, workspace.namespace))["items"]
    return [item for item in found if item["metadata"]["name"] != "kube-root-ca.crt"]
