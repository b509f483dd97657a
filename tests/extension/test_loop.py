"""Whatever a notebook asks for, the server's event loop goes on for the others: kernels, files and streams."""

import json
from typing import ClassVar

import pytest
from tornado import web
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from kf_spawner.extension.endpoints import EndpointDefaults, Endpoints
from kf_spawner.kube import Client
from kf_spawner.tfjob.names import INDEX_LABEL, JOB_LABEL, TYPE_LABEL
from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.http import Answers
from kf_spawner.workloads.jobs import JobDefaults, Jobs
from tests.fixtures.canned_api import canned_api
from tests.fixtures.loop_time import loop_is_never_held

META = {"namespace": "kf-ada", "creationTimestamp": "2026-01-01T00:00:00Z"}


class Cluster:
    """Stands in for `OwnAccess`."""

    namespace = "kf-ada"

    def __init__(self, client: Client):
        self._client = client

    async def client(self) -> Client:
        return self._client


@pytest.fixture(scope="module")
def api():
    with canned_api() as running:
        yield running


OPTIONS = {
    "types": {"replicas": {f"type{number}": 1 for number in range(9000)}},
    "variables": {"env": {f"N{number}": "x" for number in range(9000)}},
    "amounts": {"resources": {"cpu": "1" * 900_000 + "x", "memory": "e" * 900_000}},
    "options": {f"option{number}": 1 for number in range(9000)},
}


@pytest.mark.parametrize("name", OPTIONS)
async def test_options_of_a_job(api, name):
    program = {"name": "Wrong", "program": "print()", "image": "tf:1", **OPTIONS[name]}
    async with api.client() as client:
        jobs = Jobs(Cluster(client), JobDefaults(image=None, claim=None))
        async with loop_is_never_held():
            with pytest.raises(RequestError) as caught:
                await jobs.create({"program": program})
    assert caught.value.status == 400
    assert len(caught.value.errors) <= 100


async def test_a_list_of_many_jobs_and_pods(api):
    jobs = [{"metadata": {**META, "name": f"job{number}", "uid": f"{number}"}} for number in range(1000)]
    pods = [{"metadata": {**META, "name": "x", "labels": {JOB_LABEL: f"job{n % 1000}"}}} for n in range(4000)]
    api.answers["GET", "/apis/kubeflow.org/v1/namespaces/kf-ada/tfjobs"] = {"items": jobs}
    api.answers["GET", "/api/v1/namespaces/kf-ada/pods"] = {"items": pods}
    async with api.client() as client, loop_is_never_held():
        assert len(await Jobs(Cluster(client), JobDefaults(image=None, claim=None)).views()) == 1000


async def test_a_job_of_many_pods_and_events(api):
    labels = {JOB_LABEL: "big", TYPE_LABEL: "worker", INDEX_LABEL: "0"}
    pods = [{"metadata": {**META, "name": "x", "uid": "u", "labels": labels}, "spec": {}}] * 20_000
    event = {"metadata": META, "involvedObject": {"kind": "Pod", "name": "x", "uid": "u"}, "type": "Normal"}
    namespace = "/api/v1/namespaces/kf-ada"
    path = "/apis/kubeflow.org/v1/namespaces/kf-ada/tfjobs/big"
    api.answers["GET", path] = {"metadata": {**META, "name": "big", "uid": "j"}}
    api.answers["GET", f"{namespace}/pods"] = {"items": pods}
    api.answers["GET", f"{namespace}/events"] = {"items": [event] * 40_000}
    async with api.client() as client:
        jobs = Jobs(Cluster(client), JobDefaults(image=None, claim=None))
        async with loop_is_never_held():
            assert len((await jobs.get("big"))["replicas"]) == 20_000
        async with loop_is_never_held():
            assert len(await jobs.events("big")) == 40_000


class Streaming(Answers):
    ITEM: ClassVar = {"type": "status", "replicas": [{"at": [n / 7] * 100} for n in range(4000)]}

    async def get(self):
        async def items():
            yield self.ITEM

        await self.stream(items(), heartbeat=60)


async def test_a_large_item_of_a_stream():
    listener, port = bind_unused_port()
    server = HTTPServer(web.Application([("/", Streaming)]))
    server.add_socket(listener)
    try:
        async with loop_is_never_held():
            answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/", request_timeout=120)
    finally:
        server.stop()
        await server.close_all_connections()
    assert json.loads(answer.body) == Streaming.ITEM


async def test_a_folder_of_many_versions(api, tmp_path):
    for number in range(4000):
        (tmp_path / "model" / str(number)).mkdir(parents=True)
    defaults = EndpointDefaults("i", "claim", str(tmp_path), "http://door", "http://door", "token")
    async with api.client() as client, loop_is_never_held():
        with pytest.raises(RequestError) as caught:
            await Endpoints(Cluster(client), defaults, predict_timeout=1).create({"name": "x", "path": "model"})
    assert caught.value.reason == "NoSavedModel"
