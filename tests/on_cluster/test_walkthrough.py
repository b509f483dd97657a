"""The main job on a real cluster: install, log in, spawn, every cell of a notebook in containers, kubectl, a browser.

Needs all CPU images on the nodes (`make images`, then `python -m tests.cluster load .images/*.tar`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kf_spawner.kube import Client
from kf_spawner.kube.resources import PODS
from kf_spawner.serving.names import ENDPOINT_LABEL
from tests.e2e.browser import main_job, open_page
from tests.e2e.client import HubClient
from tests.e2e.test_http_journey import JOURNEYS, run_notebook

USERS = "kf-admin"
PAUSE = 0.2

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def admin(platform) -> AsyncIterator[HubClient]:
    """With a token and without a server; whatever came of the test, the next one finds none either."""
    async with HubClient(platform.url, password=platform.password) as client:
        await client.make_token()
        await client.stop_server()
        yield client
        await client.make_token()
        await client.stop_server()


async def test_every_cell_of_the_notebook_of_tensorflow_1_8(platform, admin):
    """By HTTP alone; and the same seen with kubectl. The notebook of 2.21 has its turn in the browser."""

    def kubectl(*arguments: str) -> str:
        return platform.kubectl(*arguments, namespace=USERS)

    image, notebook, words = JOURNEYS[1]
    messages = await admin.spawn({"image": image})
    assert len(messages) >= 3, messages
    row = kubectl("get", "pod", "jupyter-admin", "--no-headers").split()
    assert row[:4] == ["jupyter-admin", "1/1", "Running", "0"]
    assert image in kubectl("get", "pod", "jupyter-admin", "-o", "jsonpath={.spec.containers[0].image}")
    shown = await run_notebook(admin, f"examples/{notebook}")
    for word in words:
        assert word in shown
    assert kubectl("get", "tfjobs", "sample", "--no-headers").split()[:2] == ["sample", "Succeeded"]
    assert "all 3 tasks of the cluster answered" in kubectl("logs", "sample-master-0")


async def test_in_a_browser(platform, admin, client):
    """Every cell of the quickstart: the server's, the job's and the endpoint's pods run in the right images."""
    image, _, _ = JOURNEYS[0]
    async with ready_pods(client) as ready, open_page(f"{platform.url}/hub") as page:
        await main_job(page, admin)
    assert image in image_of(ready["jupyter-admin"])
    (served,) = [pod for pod in ready.values() if pod["metadata"]["labels"].get(ENDPOINT_LABEL) == "digits"]
    assert "model-server" in image_of(served)
    tfjob = platform.kubectl("get", "tfjobs", "digits", "--no-headers", namespace=USERS)
    assert tfjob.split()[:2] == ["digits", "Succeeded"]
    assert "test accuracy" in platform.kubectl("logs", "digits-worker-0", namespace=USERS)


@contextlib.asynccontextmanager
async def ready_pods(client: Client) -> AsyncIterator[dict[str, dict]]:
    """The user's pods that were ready at any time meanwhile, by name."""
    seen: dict[str, dict] = {}

    async def look() -> None:
        while True:
            for pod in (await client.list(PODS, USERS))["items"]:
                conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
                if conditions.get("Ready") == "True":
                    seen[pod["metadata"]["name"]] = pod
            await asyncio.sleep(PAUSE)

    async with asyncio.TaskGroup() as group:
        looking = group.create_task(look())
        yield seen
        looking.cancel()


def image_of(pod: dict) -> str:
    return pod["spec"]["containers"][0]["image"]
