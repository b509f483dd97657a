"""Upgrade, rollback and uninstall on a real cluster while people work: a server, its kernel, and a job that runs.

Needs the images of the platform and of TensorFlow 2.21 on the nodes (`make images`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Page, expect

from tests.e2e.browser import log_in, open_page
from tests.e2e.client import HubClient, Kernel

from .conftest import until
from .platform import DEFINITION, PARTS, Platform

IMAGE = "tensorflow-2.21.0-notebook-cpu"
USERS = "kf-admin"
PATIENCE = 180.0
JOB = """\
%%tfjob patient --worker 2 --replace --detach
import os, time
while not os.path.exists(os.path.expanduser("~/go-on")):
    time.sleep(0.1)
print("went on")
"""
GONE = (424, 503)
"""What a hub answers for a server that does not run, now and before its version 2."""
NOTED = {"example.com/upgrade": "1"}
EVERY_PART = {
    "hub": {"annotations": NOTED},
    "proxy": {"chp": {"annotations": NOTED}, "traefik": {"annotations": NOTED}},
    "operator": {"workers": 4},
    "dashboard": {"annotations": NOTED},
}
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None}
        for source in ("answer = 41", "print('the answer is', answer + 1)")
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "nbformat": 4,
    "nbformat_minor": 4,
}

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def admin(platform) -> AsyncIterator[HubClient]:
    """With a token and a server, that of the test before if there is one."""
    async with HubClient(platform.url, password=platform.password) as client:
        await client.make_token()
        _, user = await client.api("GET", "/user")
        if not user["servers"]:
            await client.spawn({"image": IMAGE})
        yield client


async def job_starts(platform: Platform, kernel: Kernel) -> None:
    """A job of two workers, which run until the file ~/go-on is there."""
    await kernel.run("import pathlib; signal = pathlib.Path.home() / 'go-on'; signal.unlink(missing_ok=True)")
    await kernel.run("%load_ext kf_spawner.notebook")
    await kernel.run(JOB)
    await job_is(platform, "Running")


async def job_is(platform: Platform, state: str) -> None:
    condition = f'jsonpath={{.status.conditions[?(@.type=="{state}")].status}}'

    async def ask() -> dict:
        return {"is": platform.kubectl("get", "tfjob", "patient", "-o", condition, namespace=USERS)}

    await until(ask, lambda answer: answer["is"] == "True", patience=PATIENCE)


async def reached(client: HubClient, path: str) -> None:
    """Until the user's server answers there: the hub gives a new proxy its routes within seconds."""

    async def ask() -> dict:
        status, _ = await client.server("GET", path)
        return {"status": status}

    await until(ask, lambda answer: answer["status"] == 200, patience=PATIENCE)


@contextlib.asynccontextmanager
async def asked_all_along(client: HubClient, path: str) -> AsyncIterator[list[int | str]]:
    """What the user's server answers meanwhile, by a new connection each: a status, or what kept it from that."""
    answers: list[int | str] = []

    async def ask() -> None:
        connector = aiohttp.TCPConnector(force_close=True)
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        url = f"{client.url}/user/{client.user}{path}"
        async with aiohttp.ClientSession(connector=connector, headers=client.headers, timeout=patience) as session:
            while True:
                try:
                    async with session.get(url) as answer:
                        answers.append(answer.status)
                except (aiohttp.ClientError, TimeoutError) as error:
                    answers.append(repr(error))
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        asking = group.create_task(ask())
        yield answers
        asking.cancel()


async def is_logged_in(client: HubClient) -> bool:
    """By its cookie, once the hub answers."""

    async def ask() -> dict:
        async with client.session.get(f"{client.url}/hub/home", allow_redirects=False) as page:
            return {"status": page.status}

    answer = await until(ask, lambda answer: answer["status"] in (200, 302), patience=PATIENCE)
    return answer["status"] == 200


async def test_an_upgrade_of_the_hub_alone(platform, admin):
    """The connection of an open notebook stays the same one."""
    async with HubClient(platform.url, password=platform.password) as browser, admin.kernel() as kernel:
        assert (await browser.login()).status == 302
        await kernel.run("answer = 41")
        before, servers = platform.pods(), platform.pods_of("admin")
        platform.install(values={"hub": {"annotations": NOTED}})
        platform.until_up()
        after = platform.pods()
        assert [part for part in PARTS if before[part] != after[part]] == ["hub"]
        assert platform.pods_of("admin") == servers
        assert "42" in await kernel.run("print(answer + 1)")
        assert await is_logged_in(browser)
        status, user = await admin.api("GET", "/user")
        assert (status, user["name"]) == (200, "admin")


async def test_an_upgrade_of_every_part_and_back(platform, admin):
    """Connections end with the pods that they go through; kernels, jobs and logins stay.

    In a browser nobody loads the page again, nor is told that the server is gone. JupyterLab says so where a request
    to the server gets no answer, or one of GONE. It asks every ten seconds or so; another client asks all the time.
    """
    async with (
        HubClient(platform.url, password=platform.password) as browser,
        admin.kernel() as kernel,
        open_page(f"{platform.url}/hub") as page,
    ):
        assert (await browser.login()).status == 302
        await kernel.run("answer = 41")
        await job_starts(platform, kernel)
        await open_notebook(page, admin)
        servers = platform.pods_of("admin")
        assert {"jupyter-admin", "patient-worker-0", "patient-worker-1"} <= set(servers)
        for change in (lambda: platform.install(values=EVERY_PART), platform.roll_back):
            before = platform.pods()
            async with asked_all_along(admin, "/api/kernels") as answers:
                await asyncio.to_thread(change)
                await asyncio.to_thread(platform.until_up)
            assert 200 in answers
            assert [answer for answer in answers if answer in GONE or isinstance(answer, str)] == []
            after = platform.pods()
            assert [part for part in PARTS if before[part] == after[part]] == []
            assert platform.pods_of("admin") == servers
            assert await is_logged_in(browser)
            await reached(admin, f"/api/kernels/{kernel.id}")
            async with admin.connected(kernel.id) as again:
                assert "41" in await again.run("print(answer)")
        assert "--workers=16" in platform.kubectl("get", "deployment", "operator", "-o", "yaml")
        await goes_on(page)
        async with admin.connected(kernel.id) as again:
            await again.run("signal.touch()")
        await job_is(platform, "Succeeded")


async def open_notebook(page: Page, admin: HubClient) -> None:
    """In JupyterLab, with its first cell run."""
    written = {"type": "notebook", "content": NOTEBOOK}
    status, _ = await admin.server("PUT", "/api/contents/open.ipynb", json=written)
    assert status in (200, 201)
    await log_in(page, admin)
    await page.wait_for_url("**/user/admin/lab**")
    await page.goto(f"{admin.url}/user/admin/lab/tree/open.ipynb?reset")
    await expect(page.get_by_text("| Idle")).to_be_visible()
    await page.locator(".jp-Notebook .cm-content").first.click()
    await page.keyboard.press("Shift+Enter")
    await expect(page.locator(".jp-InputPrompt", has_text="[1]:")).to_be_visible()


async def goes_on(page: Page) -> None:
    """The second cell runs in the kernel of the first, and no dialog says that something is gone."""
    await expect(page.get_by_role("dialog")).to_have_count(0)
    cell, answer = page.locator(".jp-Notebook .cm-content").nth(1), page.get_by_text("the answer is 42")
    async with asyncio.timeout(PATIENCE):
        while not await answer.is_visible():  # a cell that is run while the page connects again is forgotten
            await cell.click()
            await page.keyboard.press("Shift+Enter")
            with contextlib.suppress(AssertionError):
                await expect(answer).to_be_visible(timeout=20_000)


async def test_what_an_uninstall_leaves_and_an_installation_takes_up(platform, admin):
    """Home, server, job and the hub's database stay; the definition and the database go where that is asked for."""
    async with admin.kernel() as kernel:
        await job_starts(platform, kernel)
        await kernel.run("signal.with_name('kept.txt').write_text('kept')")
    servers = platform.pods_of("admin")
    platform.uninstall()
    assert platform.pods_of("admin") == servers
    assert "patient" in platform.kubectl("get", "tfjobs", "-o", "name", namespace=USERS)
    assert platform.kubectl("get", "persistentvolumeclaims", "-o", "name").split() == ["persistentvolumeclaim/hub-db"]
    # The job ends while nobody looks.
    platform.kubectl("exec", "jupyter-admin", "--", "touch", "/home/jovyan/go-on", namespace=USERS)

    asked = {"crds": {"keep": False}, "hub": {"db": {"pvc": {"keep": False}}}}
    platform.install(values=asked)
    platform.until_up()
    await job_is(platform, "Succeeded")
    async with HubClient(platform.url, password=platform.password) as client:
        await client.make_token()
        await reached(client, "/api/contents/kept.txt")
        assert platform.pods_of("admin")["jupyter-admin"] == servers["jupyter-admin"]
        await client.stop_server()
        await client.spawn({})
        status, file = await client.server("GET", "/api/contents/kept.txt")
        assert (status, file["content"]) == (200, "kept")

    platform.uninstall()
    for gone in (f"crd/{DEFINITION}", "persistentvolumeclaim/hub-db"):
        platform.kubectl("wait", "--for=delete", gone, "--timeout=50s")
    homes = platform.kubectl("get", "persistentvolumeclaims", "-o", "name", namespace=USERS)
    assert homes.split() == ["persistentvolumeclaim/claim-admin"]
