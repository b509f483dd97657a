"""Endpoints over REST: what is made of a model's folder, how it is seen and taken down, how predictions are asked."""

import asyncio
import json

import pytest
from aiohttp import web

from kf_spawner.kube.resources import DEPLOYMENTS, PODS, SERVICES
from tests.fixtures.jupyter_server import HUB_TOKEN, run_server
from tests.fixtures.saved_model import saved_model
from tests.fixtures.user_namespace import CLAIM


@pytest.fixture
def model(workspace):
    folder = workspace.home / "models" / "digits"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "saved_model.pb").write_bytes(saved_model())
    return folder


@pytest.mark.parametrize(
    ("path", "sub_path"),
    [
        ("~/models/digits", "models/digits"),
        ("models/digits", "models/digits"),
        ("/home/jovyan/models/digits", "models/digits"),
        ("~/models/digits/1", "models/digits/1"),
        ("~/models/../models/digits/", "models/digits"),
    ],
)
async def test_an_endpoint_is_a_deployment_and_a_service_of_the_models_folder(
    server, workspace, model, path, sub_path
):
    status, view = await server.call("POST", "endpoints", json={"name": "digits", "path": path})
    assert status == 201, view
    assert view["url"].endswith(f"/serving/{workspace.namespace}/digits/v1/models/digits")
    deployment = await workspace.admin.get(DEPLOYMENTS, "digits", workspace.namespace)
    pod = deployment["spec"]["template"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == CLAIM
    assert pod["containers"][0]["volumeMounts"][0]["subPath"] == sub_path
    service = await workspace.admin.get(SERVICES, "digits", workspace.namespace)
    assert [one["uid"] for one in service["metadata"]["ownerReferences"]] == [deployment["metadata"]["uid"]]
    status, listed = await server.call("GET", "endpoints")
    assert [(one["name"], one["state"]) for one in listed["items"]] == [("digits", "Pending")]


async def test_ops_of_other_packages_are_told_at_once(server, model):
    (model / "1" / "saved_model.pb").write_bytes(saved_model(ops=["MatMul", "Addons>Gelu"]))
    body = {"name": "digits", "path": "~/models/digits"}
    status, view = await server.call("POST", "endpoints", json=body)
    assert status == 201, view
    assert "(tensorflow-addons): Addons>Gelu." in view["warnings"][0]
    status, view = await server.call("POST", "endpoints", json={**body, "name": "own", "image": "mine:1"})
    assert (status, view["warnings"]) == (201, [])


async def test_the_real_path_of_the_home_is_understood(server, workspace, model):
    status, view = await server.call("POST", "endpoints", json={"name": "digits", "path": str(model)})
    assert status == 201, view


async def test_deleting_frees_the_name(server, workspace, model):
    body = {"name": "digits", "path": "~/models/digits"}
    assert (await server.call("POST", "endpoints", json=body))[0] == 201
    status, answer = await server.call("POST", "endpoints", json=body)
    assert (status, answer["reason"], answer["name"]) == (409, "NameInUse", "digits")
    assert (await server.call("DELETE", "endpoints/digits"))[0] == 202
    async with asyncio.timeout(90):
        while (await server.call("GET", "endpoints/digits"))[0] != 404:
            await asyncio.sleep(0.1)
        while await workspace.leftovers():  # what does not hold the deployment up goes after it
            await asyncio.sleep(0.1)
    assert (await server.call("POST", "endpoints", json=body))[0] == 201


async def test_the_number_of_replicas_can_be_changed_and_nothing_else(server, workspace, model):
    assert (await server.call("PATCH", "endpoints/digits", json={"replicas": 2}))[0] == 404
    await server.call("POST", "endpoints", json={"name": "digits", "path": "~/models/digits"})
    status, view = await server.call("PATCH", "endpoints/digits", json={"replicas": 3})
    assert (status, view["replicas"]) == (200, 3)
    for body, field, words in (
        ({"replicas": 33}, "replicas", "33 is out of range: use 1 to 32"),
        ({"replicas": None}, "replicas", "is missing: give a number from 1 to 32"),
        ({"replicas": 1, "image": "b"}, "image", "cannot be changed: delete the endpoint"),
    ):
        status, answer = await server.call("PATCH", "endpoints/digits", json=body)
        assert (status, answer["field"]) == (400, field)
        assert words in answer["message"]
    deployment = await workspace.admin.get(DEPLOYMENTS, "digits", workspace.namespace)
    assert deployment["spec"]["replicas"] == 3


async def test_another_deployment_is_neither_shown_nor_touched(server, workspace, model):
    foreign = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "digits"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "metadata": {"labels": {"a": "b"}},
                "spec": {"containers": [{"name": "a", "image": "a"}]},
            },
        },
    }
    await workspace.admin.create(DEPLOYMENTS, foreign, workspace.namespace)
    assert (await server.call("GET", "endpoints/digits"))[0] == 404
    assert (await server.call("DELETE", "endpoints/digits"))[0] == 404
    assert (await server.call("PATCH", "endpoints/digits", json={"replicas": 1}))[0] == 404
    status, answer = await server.call("POST", "endpoints", json={"name": "digits", "path": "~/models/digits"})
    assert (status, answer["reason"]) == (409, "NameInUse")
    assert await workspace.leftovers() == {"deployments": ["digits"]}


@pytest.fixture
async def door():
    """What stands for the door: records what comes, answers what the test says."""
    seen, answers = [], []

    async def answer(request: web.Request) -> web.Response:
        sent = await request.json() if request.can_read_body else None
        seen.append((request.path, request.headers.get("Authorization"), sent))
        status, body = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(body, str):  # the door's own
            return web.json_response({"reason": body}, status=status, headers={"Kf-Door": body})
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/serving"
    yield url, seen, answers
    await runner.cleanup()


async def test_a_prediction_goes_through_the_door_with_the_servers_own_token(workspace, model, tmp_path, door):
    url, seen, answers = door
    async with run_server(workspace, tmp_path, variables={"KF_SERVING_URL": url}) as server:
        answers.append((200, {"predictions": [7]}))
        body = {"instances": [[0.5]]}
        assert await server.call("POST", "endpoints/digits/predict", json=body) == (200, {"predictions": [7]})
        path = f"/serving/{workspace.namespace}/digits/v1/models/digits:predict"
        assert seen == [(path, f"token {HUB_TOKEN}", body)]
        answers[:] = [(400, {"error": "shapes differ"})]
        assert await server.call("POST", "endpoints/digits/predict", json=body) == (400, {"error": "shapes differ"})
        for what, below in (("metadata", "/metadata"), ("versions", "")):
            assert await server.call("GET", f"endpoints/digits/{what}") == (400, {"error": "shapes differ"})
            assert seen[-1] == (path.replace(":predict", below), f"token {HUB_TOKEN}", None)


async def test_users_are_told_another_address_than_the_server_uses(workspace, model, tmp_path, door):
    url, seen, answers = door
    variables = {"KF_SERVING_URL": "https://hub.example.com/serving", "KF_SERVING_CONNECT_URL": url}
    async with run_server(workspace, tmp_path, variables=variables) as server:
        status, made = await server.call("POST", "endpoints", json={"name": "digits", "path": "~/models/digits"})
        assert status == 201, made
        _, view = await server.call("GET", "endpoints/digits")
        assert view["url"].startswith(f"https://hub.example.com/serving/{workspace.namespace}/digits/")
        answers.append((200, {"predictions": [7]}))
        answer = await server.call("POST", "endpoints/digits/predict", json={"instances": [[0.5]]})
        assert answer == (200, {"predictions": [7]})
        assert len(seen) == 1


async def test_a_route_that_is_late_is_waited_for_and_a_missing_endpoint_is_not(workspace, model, tmp_path, door):
    url, _, answers = door
    async with run_server(workspace, tmp_path, variables={"KF_SERVING_URL": url}) as server:
        answers[:] = [(404, "NotFound")]
        status, answer = await server.call("POST", "endpoints/digits/predict", json={"instances": []})
        assert (status, answer["reason"]) == (404, "NotFound")
        await server.call("POST", "endpoints", json={"name": "digits", "path": "~/models/digits"})
        status, answer = await server.call("POST", "endpoints/digits/predict", json={"instances": []})
        assert (status, answer["reason"]) == (503, "NotReady")
        assert "Pending" in answer["message"]
        await make_ready(workspace, server)
        answers[:] = [(404, "NotFound"), (503, "EndpointNotReady"), (200, {"predictions": [1]})]
        status, answer = await server.call("POST", "endpoints/digits/predict", json={"instances": []})
        assert (status, answer) == (200, {"predictions": [1]})
        # The model server's own, of the same status, is final.
        for status in (404, 503):
            answers[:] = [(status, {"error": "no such version"}), (200, {"predictions": [1]})]
            asked = await server.call("POST", "endpoints/digits/predict", json={"instances": []})
            assert asked == (status, {"error": "no such version"})


async def make_ready(workspace, server):
    """Reports the endpoint's pod as running: no node runs it."""
    nowhere = {"spec": {"template": {"spec": {"nodeSelector": {"kf-spawner.io/nowhere": "true"}}}}}
    await workspace.admin.patch(DEPLOYMENTS, "digits", nowhere, workspace.namespace)
    async with asyncio.timeout(90):
        while not (pods := [pod for pod in await pods_of(workspace) if pod["spec"].get("nodeSelector")]):
            await asyncio.sleep(0.05)
        running = {"name": "model-server", "image": "a", "imageID": "", "ready": True, "restartCount": 0}
        ready = {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{**running, "state": {"running": {}}}],
        }
        await workspace.admin.patch(
            PODS, pods[0]["metadata"]["name"], {"status": ready}, workspace.namespace, subresource="status"
        )
        while (await server.call("GET", "endpoints/digits"))[1]["state"] != "Ready":
            await asyncio.sleep(0.05)


async def pods_of(workspace):
    return (await workspace.admin.list(PODS, workspace.namespace))["items"]


async def test_without_a_door_the_message_says_so(server):
    status, answer = await server.call("POST", "endpoints/digits/predict", data=json.dumps({}))
    assert (status, answer["reason"]) == (503, "NoDoor")
