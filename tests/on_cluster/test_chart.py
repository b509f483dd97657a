"""The chart on a real cluster: installed without values all parts come up, and the door leads to a login.

Needs the hub's image on the nodes (`make images ONLY=hub`, then `python -m tests.cluster load .images/hub.tar`).
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.client import HubClient
from tests.fixtures.helm import CHART, RELEASE

from .platform import PARTS, Platform, installed


@pytest.fixture
def platform(helm_program, kubeconfig, kubectl, tmp_path) -> Iterator[Platform]:
    with installed(helm_program, kubeconfig, kubectl, tmp_path) as platform:
        yield platform


async def test_it_comes_up_and_stays_over_an_upgrade(platform):
    """Without values, in a namespace that takes only pods of the level `restricted`."""
    platform.until_up()
    async with HubClient(platform.url, password="guessed") as stranger:
        assert (await stranger.login()).status == 403
    async with HubClient(platform.url, password=platform.password) as admin:
        await admin.make_token()
        before = platform.pods()
        platform.helm.run("upgrade", RELEASE, str(CHART), values={"hub": {"annotations": {"try": "1"}}})
        platform.until_up()
        after = platform.pods()
        assert [part for part in PARTS if before[part] != after[part]] == ["hub"]
        # Nobody is logged out: the same token, at a hub that is another process by now.
        status, user = await admin.api("GET", "/user")
        assert (status, user["name"]) == (200, "admin")
    platform.helm.run("rollback", RELEASE, "1")
    platform.until_up()
    async with HubClient(platform.url, password=platform.password) as admin:
        assert (await admin.login()).status == 302


async def test_one_operator_leads_and_the_other_takes_over(platform):
    platform.until_up()
    lease = ("get", "lease", "kf-spawner-operator", "-o", "jsonpath={.spec.holderIdentity}")
    async with asyncio.timeout(30):
        while not (first := platform.kubectl(*lease)):
            await asyncio.sleep(0.2)
    platform.kubectl("delete", "pod", first.rpartition("_")[0], "--wait=false")
    async with asyncio.timeout(60):
        while (second := platform.kubectl(*lease)) in (first, ""):
            await asyncio.sleep(0.2)
    assert second.startswith("operator-")


async def test_the_doctor_looks_from_inside(platform):
    platform.until_up()
    said = platform.helm.run("test", RELEASE, "--logs", timeout=300)
    assert "Succeeded" in said
    assert "kf-spawner-doctor" not in platform.kubectl("get", "serviceaccounts,roles", "-o", "name")
