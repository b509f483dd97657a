"""One platform with hub and dashboard for the tests of the REST interface, and a caller for each user."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp
import pytest
import pytest_asyncio

from tests.dashboard.stage import Stage, on_stage
from tests.extension.platform import PLAIN_IMAGE, Platform
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.hub import Browser

SET_UP = ["admin", "alice", "bob", "ann", "ben"]
"""ann and ben are the browser's."""

USERS = [*SET_UP, "newcomer", "latecomer"]
"""The last two have never started a server: there are no namespaces of theirs."""


@dataclass
class Caller:
    """Requests to the dashboard with one user's token."""

    url: str
    token: str
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: object = None, **options) -> tuple[int, dict]:
        """(status, JSON); the text of an answer that is none."""
        status, text = await self.text(method, path, body, **options)
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {"text": text}

    async def text(self, method: str, path: str, body: object = None, **options) -> tuple[int, str]:
        async with self.open(method, path, body, **options) as answer:
            return answer.status, await answer.text()

    def open(self, method: str, path: str, body: object = None, **options):
        headers = {"Authorization": f"token {self.token}", **options.pop("headers", {})}
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        return self.http.request(
            method, self.url + path, data=data, headers=headers, allow_redirects=False, **options
        )

    async def lines(self, path: str) -> AsyncIterator[dict]:
        """The items of a stream."""
        async with self.open("GET", path) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                yield json.loads(line)


@pytest.fixture(scope="session")
def platform(control_plane_binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dashboard")
    plane = ControlPlane.prepare(folder / "home", control_plane_binaries)
    running = Platform(plane, folder)
    try:
        plane.start()
        running.start()
        yield running
    finally:
        running.stop()
        plane.stop()
        running.starter.shutdown()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stage(platform) -> AsyncIterator[Stage]:
    async with on_stage(platform, platform.folder, users=USERS) as running:
        for user in SET_UP:
            await running.set_up(user)
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def as_user(stage) -> AsyncIterator[Callable[[str], Caller]]:
    """`as_user("alice")`: a caller with a token of hers."""
    async with aiohttp.ClientSession() as http:
        tokens = {user: await token_of(stage, user) for user in USERS}
        yield lambda user: Caller(stage.dashboard, tokens[user], http)


async def token_of(stage: Stage, user: str, **options) -> str:
    """A new token, as its user makes it on the hub's page."""
    async with Browser(stage.url) as browser:
        status, page = await browser.login(user)
        assert status == 200, page
        status, answer = await browser.api("POST", f"/users/{user}/tokens", {"note": "test", **options})
        assert status == 201, answer
        return json.loads(answer)["token"]


def job(name: str, *, program: str = "print('done')", namespace: str | None = None, **replicas: int) -> dict:
    """A TFJob of plain Python that runs on the platform's node: `job("x", worker=2)`."""
    container = {"name": "tensorflow", "image": PLAIN_IMAGE, "command": ["python", "-u", "-c", program]}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    specs = {kind: {"replicas": count, "template": template} for kind, count in (replicas or {"Worker": 1}).items()}
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    spec = {"tfReplicaSpecs": specs, "successPolicy": "AllWorkers"}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": meta, "spec": spec}
