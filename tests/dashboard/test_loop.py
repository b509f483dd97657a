"""Whatever one user sends or has, the dashboard's event loop goes on for all others; limits are told by name."""

import asyncio
import contextlib
import io
import json
import threading
from collections.abc import AsyncIterator
from unittest import mock

import aiohttp
import pytest
import pytest_asyncio
import yaml
from jupyterhub.services.auth import HubOAuth
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from kf_spawner.dashboard.app import Dashboard
from kf_spawner.dashboard.service import DashboardService
from kf_spawner.dashboard.sharing import Turns
from kf_spawner.kube import Client
from tests.dashboard.client import Caller
from tests.fixtures.canned_api import CannedApi, canned_api
from tests.fixtures.loop_time import loop_is_never_held

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENVIRONMENT = {
    "JUPYTERHUB_API_TOKEN": "secret",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api",
    "JUPYTERHUB_CLIENT_ID": "service-tfjobs",
    "JUPYTERHUB_SERVICE_PREFIX": "/",
}
ADA = "/apis/kubeflow.org/v1/namespaces/kf-ada/tfjobs"
PODS = "/api/v1/namespaces/kf-ada/pods"
AS_YAML = {"headers": {"Content-Type": "text/yaml"}}


class Cluster:
    """Stands in for `OwnAccess`."""

    def __init__(self, client: Client):
        self._client = client

    async def client(self) -> Client:
        return self._client


@pytest.fixture(scope="module")
def api():
    with canned_api() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def application(api: CannedApi) -> AsyncIterator[web.Application]:
    """The dashboard in this process. The hub knows a user's name as this user's token."""

    async def user_of(auth: HubOAuth, handler, **_options) -> dict:
        return {"name": auth.get_token(handler), "kind": "user", "scopes": ["access:services"]}

    with mock.patch.dict("os.environ", ENVIRONMENT), mock.patch.object(HubOAuth, "get_user", user_of):
        async with api.client() as client:
            yield Dashboard().application(Cluster(client))


@pytest.fixture
def service(application: web.Application) -> DashboardService:
    return application.settings["kf_service"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ada(application: web.Application) -> AsyncIterator[Caller]:
    server = HTTPServer(application, max_body_size=2_000_000)
    socket, port = bind_unused_port()
    server.add_sockets([socket])
    async with aiohttp.ClientSession() as http:
        yield Caller(f"http://127.0.0.1:{port}/", "ada", http)
    server.stop()
    await server.close_all_connections()


def container(**fields) -> dict:
    return {"name": "tensorflow", "image": "tf:1", **fields}


def manifest(specs: dict | None = None, *, kind: str = "Worker", replicas: int = 1, **fields) -> dict:
    template = {"spec": {"containers": [container(**fields)]}}
    return {
        "apiVersion": "kubeflow.org/v1",
        "kind": "TFJob",
        "metadata": {"name": "big", "namespace": "kf-ada", "uid": "job", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"tfReplicaSpecs": specs or {kind: {"replicas": replicas, "template": template}}},
    }


def form(**fields) -> dict:
    return {"form": {"name": "big", "replicas": [{"type": "Worker", "image": "tf:1"}], **fields}}


FLAT = "\n".join(f"k{number}: 1" for number in range(90_000))
VARIABLES = [{"name": f"N{number}", "value": "x"} for number in range(3900)]
TYPES = {f"Type{number}": {"template": {}} for number in range(4900)}
VOLUMES = [{"claim": "", "path": number} for number in range(3900)]
REQUESTS = {
    "yaml of many values": (422, "more than 20,000 values", FLAT, AS_YAML),
    "the same as text in JSON": (422, "more than 20,000 values", {"yaml": FLAT}, {}),
    "yaml that computes": (400, "may have 1,000", f"a: {'1:' * 400_000}1", AS_YAML),
    "json of many values": (422, "more than 20,000 values", f"[{'1,' * 490_000}1]", {}),
    "more bytes than allowed": (413, "has 1,100,000 bytes and may have 1,000,000", "x" * 1_100_000, {}),
    "form of many volumes": (400, "has 3900 entries; use 64 at most", form(volumes=VOLUMES), {}),
    "form of many replicas": (400, "has 6000 entries; use 16 at most", form(replicas=[{}] * 6000), {}),
    "form of wrong variables": (
        400,
        "is missing; name the variable",
        form(replicas=[{"type": "Worker", "image": "x", "env": [{"value": ""}] * 6000}]),
        {},
    ),
    "form of one long word": (400, "may have 20000", form(replicas=[{"type": "PS", "args": "x" * 900_000}]), {}),
    "amount of many digits": (400, "is not an amount", form(replicas=[{"type": "PS", "cpu": "1" * 900_000}]), {}),
    "manifest of wrong types": (400, "is not a replica type", manifest(TYPES), {}),
    "manifest of many variables": (200, "manifest", manifest(env=VARIABLES), {}),
    "program as long as may be": (200, "manifest", manifest(args=["x\n" * 300_000]), {}),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_body_does_not_hold_the_loop(ada, name):
    status, words, body, options = REQUESTS[name]
    body = body if isinstance(body, str) else json.dumps(body)
    async with loop_is_never_held():
        answered, answer = await ada.text("POST", "api/jobs?dry_run=1", io.BytesIO(body.encode()), **options)
    assert answered == status, answer[:1000]
    assert words in answer


async def test_a_list_of_large_jobs_does_not_hold_the_loop(ada, api):
    api.answers["GET", ADA] = {"items": [manifest(env=VARIABLES) for _ in range(60)]}
    async with loop_is_never_held():
        listed = await ada.text("GET", "api/jobs")
        whole = await ada.text("GET", "tfjobs/api/tfjob/kf-ada")
    assert (listed[0], len(json.loads(listed[1])["items"])) == (200, 60)
    assert (whole[0], json.loads(whole[1])["items"]) == (200, [manifest(env=VARIABLES)] * 60)


async def test_the_page_of_a_job_of_many_replicas_does_not_hold_the_loop(ada, api):
    api.answers["GET", f"{ADA}/big"] = manifest(replicas=10_000, env=VARIABLES)
    env = [{"name": "TF_CONFIG", "value": json.dumps({"cluster": {"worker": ["x" * 40] * 400}})}]
    api.answers["GET", PODS] = {"items": [pod(index, env) for index in range(400)]}
    api.answers["GET", "/api/v1/namespaces/kf-ada/events"] = {"items": []}
    async with loop_is_never_held():
        status, answer = await ada.text("GET", "api/jobs/kf-ada/big")
    detail = json.loads(answer)
    assert (status, len(detail["replicas"]), detail["replicas"][0]["tf_config"]) == (200, 10_000, None)
    assert (
        yaml.load(detail["yaml"], Loader=yaml.CSafeLoader)["spec"] == manifest(replicas=10_000, env=VARIABLES)["spec"]
    )
    many = "&".join(f"replica=worker-{number}" for number in range(900))
    async with loop_is_never_held():
        status, answer = await ada.call("GET", f"api/jobs/kf-ada/big/logs?{many}&replica=other")
    assert status == 404, answer
    assert answer["reason"] == "NotFound"


def pod(index: int, env: list[dict]) -> dict:
    labels = {"training.kubeflow.org/replica-type": "worker", "training.kubeflow.org/replica-index": str(index)}
    meta = {"name": f"big-worker-{index}", "namespace": "kf-ada", "uid": f"pod-{index}", "labels": labels}
    return {"metadata": meta, "spec": {"containers": [container(env=env)]}}


STAMP = b"2026-01-01T00:00:00Z "
LONG = "yé" * 2_000_000
LOGS = {
    # name: (the log, its last 500 lines)
    "one long line": (STAMP + LONG.encode() + b"\n", [LONG]),
    "lines of nothing": ((STAMP + b"\n") * 20_000, [""] * 500),
    "an end without a newline": (STAMP + b"a\n" + STAMP + b"b" * 200_000, ["a", "b" * 200_000]),
}


@pytest.mark.parametrize("name", LOGS)
async def test_a_log_is_read_whole_and_does_not_hold_the_loop(ada, api, name):
    log, last = LOGS[name]
    api.answers["GET", f"{ADA}/big"] = manifest(replicas=1)
    status = {"name": "tensorflow", "state": {"terminated": {}}}
    api.answers["GET", PODS] = {"items": [{**pod(0, []), "status": {"containerStatuses": [status]}}]}
    api.answers["GET", f"{PODS}/big-worker-0"] = {}
    api.answers["GET", f"{PODS}/big-worker-0/log"] = log
    async with loop_is_never_held():
        downloaded = await ada.text("GET", "api/jobs/kf-ada/big/logs/worker-0/download")
        as_json = await ada.text("GET", "tfjobs/api/logs/kf-ada/big-worker-0")
        items = [item async for item in ada.lines("api/jobs/kf-ada/big/logs?tail=500")]
    assert downloaded == (200, log.decode())
    assert (as_json[0], json.loads(as_json[1])) == (200, log.decode())
    pieces = [item for item in items if item["type"] == "log"]
    told = "".join(item["line"] + ("" if "continues" in item else "\n") for item in pieces)
    assert told == "".join(f"{line}\n" for line in last)
    assert max(len(item["line"].encode()) for item in pieces) <= 64 * 1024


@pytest.mark.parametrize(("path", "places"), [("api/jobs", "requests"), ("api/watch", "streams")])
async def test_a_user_with_all_places_taken_is_refused_and_another_is_answered(ada, api, service, path, places):
    api.answers["GET", "/apis/kubeflow.org/v1/namespaces/kf-bob/tfjobs"] = {"items": []}
    most = {"requests": 32, "streams": 100}[places]
    with contextlib.ExitStack() as stack:
        for _ in range(most):
            stack.enter_context(getattr(service, places).take("ada"))
        status, answer = await ada.call("GET", path)
        assert (status, answer["reason"]) == (429, "TooManyRequests")
        assert f"{most} {places} of yours are open" in answer["message"]
        assert (await Caller(ada.url, "bob", ada.http).call("GET", "api/jobs"))[0] == 200
    assert (await ada.call("GET", "api/jobs"))[0] == 200


async def test_a_user_has_one_turn_at_a_time_and_keeps_it_until_the_thread_is_through():
    turns, began, go_on = Turns(), threading.Event(), threading.Event()

    def long() -> None:
        began.set()
        assert go_on.wait(60)

    first = asyncio.create_task(turns.run("ada", long))
    assert await asyncio.to_thread(began.wait, 60)
    first.cancel()
    second = asyncio.create_task(turns.run("ada", lambda: "ada"))
    assert await turns.run("bob", lambda: "bob") == "bob"
    assert [first.done(), second.done()] == [False, False]
    go_on.set()
    assert await second == "ada"
    assert first.cancelled()
