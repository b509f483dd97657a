"""Requests to the dashboard as one of its users, and jobs to ask it for."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp

from tests.fixtures.platform import PLAIN_IMAGE

COUNTING = "import time\nfor n in range(3000):\n    print('step', n)\n    time.sleep(0.1)"
PATIENCE = 120.0  # seconds; a pod's first start builds the image's environment, on a machine with other work to do


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
        data = json.dumps(body) if isinstance(body, dict | list) else body
        return self.http.request(
            method, self.url + path, data=data, headers=headers, allow_redirects=False, **options
        )

    async def lines(self, path: str) -> AsyncIterator[dict]:
        """The items of a stream."""
        async with self.open("GET", path) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                yield json.loads(line)


def job(name: str, *, program: str = "print('done')", namespace: str | None = None, **replicas: int) -> dict:
    """A TFJob of plain Python that runs on the platform's node: `job("x", worker=2)`."""
    container = {"name": "tensorflow", "image": PLAIN_IMAGE, "command": ["python", "-u", "-c", program]}
    template = {"spec": {"containers": [container], "terminationGracePeriodSeconds": 1}}
    specs = {kind: {"replicas": count, "template": template} for kind, count in (replicas or {"Worker": 1}).items()}
    meta = {"name": name, **({"namespace": namespace} if namespace else {})}
    spec = {"tfReplicaSpecs": specs, "successPolicy": "AllWorkers"}
    return {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": meta, "spec": spec}


@contextlib.asynccontextmanager
async def running(
    caller: Caller, name: str, *, program: str = COUNTING, namespace: str = "kf-alice", **replicas: int
) -> AsyncIterator[str]:
    """A job that is there for a while; its address in the interface."""
    made = job(name, program=program, namespace=namespace, **replicas)
    status, answer = await caller.call("POST", "api/jobs", made)
    assert status == 201, answer
    path = f"api/jobs/{namespace}/{name}"
    try:
        yield path
    finally:
        await caller.call("DELETE", path)


async def until(caller: Caller, path: str, check: Callable[[dict], object]) -> dict:
    """The job's detail once it is as `check` wants it, from the stream of its changes.

    Job, pods and events are watched apart: what is said of one may be newer than what is said of another.
    """
    async with asyncio.timeout(PATIENCE), contextlib.aclosing(caller.lines(f"{path}/watch")) as items:
        async for item in items:
            if item["type"] == "job" and check(item["job"]):
                return item["job"]
    raise AssertionError(f"{path} is gone")


async def until_state(caller: Caller, path: str, state: str) -> dict:
    return await until(caller, path, lambda job: job["state"] == state)


async def following(items: AsyncIterator[dict]) -> dict:
    """The next item of a stream that says something."""
    async with asyncio.timeout(PATIENCE):
        while (item := await anext(items))["type"] == "ping":
            pass
        return item
