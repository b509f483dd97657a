"""The chart on a real cluster, without values: all parts come up and look after themselves.

Needs the platform's own images on the nodes (`make images`, then `python -m tests.cluster load .images/*.tar`).
"""

import asyncio
import json
from collections.abc import Iterator

import pytest

from tests.e2e.client import HubClient
from tests.fixtures.helm import RELEASE

from .conftest import until
from .platform import DEFINITION, PARTS, ClusterInUse, Platform, installed

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def installation(helm_program, kubeconfig, kubectl, tmp_path_factory) -> Iterator[Platform]:
    """In a namespace that takes only pods of the level `restricted`."""
    with installed(helm_program, kubeconfig, kubectl, tmp_path_factory.mktemp("chart")) as platform:
        yield platform


@pytest.fixture
def platform(installation) -> Platform:
    installation.until_up()
    return installation


async def test_the_door_leads_to_a_login(platform):
    async with HubClient(platform.url, password="guessed") as stranger:
        assert (await stranger.login()).status == 403
    async with HubClient(platform.url, password=platform.password) as admin:
        assert (await admin.login()).status == 302


async def test_one_operator_leads_and_the_other_takes_over(platform):
    lease = ("get", "lease", "kf-spawner-operator", "-o", "jsonpath={.spec.holderIdentity}")
    async with asyncio.timeout(60):
        while not (first := platform.kubectl(*lease)):
            await asyncio.sleep(0.2)
    platform.kubectl("delete", "pod", first.rpartition("_")[0], "--wait=false")
    async with asyncio.timeout(120):
        while (second := platform.kubectl(*lease)) in (first, ""):
            await asyncio.sleep(0.2)
    assert second.startswith("operator-")


async def test_the_doctor_looks_from_inside(platform):
    said = platform.helm.run("test", RELEASE, "--logs", timeout=300)
    assert "Succeeded" in said
    assert "kf-spawner-doctor" not in platform.kubectl("get", "serviceaccounts,roles", "-o", "name")


def test_the_tests_leave_an_installation_alone(platform, helm_program, kubeconfig, kubectl, tmp_path):
    """Somebody's cluster may have one: nothing is made there, and nothing removed."""
    before = platform.pods()
    with (
        pytest.raises(ClusterInUse, match=f"has customresourcedefinition.*{DEFINITION}, clusterrole.*kf-spawner-hub"),
        installed(helm_program, kubeconfig, kubectl, tmp_path),
    ):
        pytest.fail("installed into a cluster that is in use")
    assert platform.pods() == before
    platform.kubectl("get", "crd", DEFINITION)


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_ends_when_it_is_asked_to(platform, part):
    """Else a pod that goes stays for its whole grace period, and what replaces it waits for that."""
    selector = f"app.kubernetes.io/component={part}"
    name = json.loads(platform.kubectl("get", "pods", "-l", selector, "-o", "json"))["items"][0]["metadata"]["name"]

    async def ask() -> dict:
        return json.loads(platform.kubectl("get", "pod", name, "-o", "json"))["status"]["containerStatuses"][0]

    before = await ask()
    platform.kubectl("exec", name, "--", "sh", "-c", "kill -TERM 1")
    after = await until(ask, lambda now: now["restartCount"] > before["restartCount"])
    assert after["lastState"]["terminated"]["exitCode"] == 0
