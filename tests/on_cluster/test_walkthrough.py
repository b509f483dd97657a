"""The main job on a real cluster: install, log in, spawn, every cell of a notebook in containers, kubectl, a browser.

Needs all CPU images on the nodes (`make images`, then `python -m tests.cluster load .images/*.tar`).
"""

from collections.abc import AsyncIterator, Iterator

import pytest

from kf_spawner.serving.names import ENDPOINT_LABEL
from tests.e2e.browser import main_job, open_page
from tests.e2e.client import HubClient
from tests.e2e.test_http_journey import JOURNEYS, cells

from .platform import Platform, installed

USERS = "kf-admin"
JOBS = {
    "quickstart.ipynb": ("digits", "digits-worker-0", "test accuracy"),
    "tensorflow-1.8.ipynb": ("sample", "sample-master-0", "all 3 tasks of the cluster answered"),
}
"""Notebook -> its job, the replica that says how it went, and in which words."""

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def installation(helm_program, kubeconfig, kubectl, tmp_path_factory) -> Iterator[Platform]:
    with installed(helm_program, kubeconfig, kubectl, tmp_path_factory.mktemp("walkthrough")) as platform:
        platform.until_up()
        yield platform


@pytest.fixture
async def admin(installation) -> AsyncIterator[HubClient]:
    """Whatever came of the test, the next one finds no server."""
    async with HubClient(installation.url, password=installation.password) as client:
        yield client
        await client.make_token()
        await client.stop_server()


@pytest.mark.parametrize(("image", "notebook", "words"), JOURNEYS, ids=["2.21", "1.8"])
async def test_every_cell_of_the_notebook(installation, admin, image, notebook, words):
    """By HTTP alone; and the same seen with kubectl."""

    def kubectl(*arguments: str) -> str:
        return installation.kubectl(*arguments, namespace=USERS)

    await admin.make_token()
    messages = await admin.spawn({"image": image})
    assert len(messages) >= 3, messages
    row = kubectl("get", "pod", "jupyter-admin", "--no-headers").split()
    assert row[:4] == ["jupyter-admin", "1/1", "Running", "0"]
    assert image in kubectl("get", "pod", "jupyter-admin", "-o", "jsonpath={.spec.containers[0].image}")

    shown = ""
    async for source, said in cells(admin, f"examples/{notebook}"):
        shown += said
        if "endpoint.predict" in source:
            pods = kubectl("get", "pods", "-l", f"{ENDPOINT_LABEL}=digits", "--no-headers")
            assert pods.split()[1:3] == ["1/1", "Running"]
    for word in words:
        assert word in shown

    job, replica, last_word = JOBS[notebook]
    assert kubectl("get", "tfjobs", job, "--no-headers").split()[:2] == [job, "Succeeded"]
    assert last_word in kubectl("logs", replica)


async def test_in_a_browser(installation, admin):
    async with open_page(f"{installation.url}/hub") as page:
        await main_job(page, admin)
