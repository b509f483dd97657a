"""One platform with hub and dashboard for the tests of the REST interface, and a caller for each user."""

import json
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
import pytest_asyncio

from tests.dashboard.client import Caller
from tests.dashboard.running_dashboard import RunningDashboard, run_dashboard
from tests.fixtures.hub import Browser
from tests.fixtures.platform import running_platform

SET_UP = ["admin", "alice", "bob", "ann", "ben"]
"""ann and ben are the browser's."""

USERS = [*SET_UP, "newcomer", "latecomer"]
"""The last two have never started a server: there are no namespaces of theirs."""


@pytest.fixture(scope="package")
def platform(control_plane_binaries, tmp_path_factory):
    with running_platform(control_plane_binaries, tmp_path_factory.mktemp("dashboard")) as running:
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def dashboard(platform) -> AsyncIterator[RunningDashboard]:
    async with run_dashboard(platform, platform.folder, users=USERS) as running:
        for user in SET_UP:
            await running.set_up(user)
        yield running


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def as_user(dashboard) -> AsyncIterator[Callable[[str], Caller]]:
    """`as_user("alice")`: a caller with a token of hers."""
    async with aiohttp.ClientSession() as http:
        tokens = {user: await token_of(dashboard, user) for user in USERS}
        yield lambda user: Caller(dashboard.address, tokens[user], http)


async def token_of(dashboard: RunningDashboard, user: str, **options) -> str:
    """A new token, as its user makes it on the hub's page."""
    async with Browser(dashboard.url) as browser:
        status, page = await browser.login(user)
        assert status == 200, page
        status, answer = await browser.api("POST", f"/users/{user}/tokens", {"note": "test", **options})
        assert status == 201, answer
        return json.loads(answer)["token"]
