"""The chart on a real cluster, without values: all parts come up and look after themselves.

Its namespace takes only pods of the level `restricted`.

Needs all CPU images on the nodes, as `helm test` asks for them (`make images`; `python -m tests.cluster load …`).
"""

import asyncio
import json
import re

import pytest

from kf_spawner.doctor.findings import CHECKS
from tests.e2e.client import HubClient
from tests.fixtures.helm import RELEASE, HelmFailed

from .conftest import until
from .platform import DEFINITION, NAMESPACE, PARTS, ClusterInUse, Platform, installed
from .test_doctor import doctor

pytestmark = pytest.mark.timeout(900)


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


async def test_the_doctor_looks_from_outside(platform, kubeconfig):
    """Silent, and with exit code 0: `doctor` compares."""
    report = await doctor(kubeconfig, f"--namespace={NAMESPACE}")
    assert report == {"healthy": True, "installed": True, "findings": [], "passed_over": {}}


async def test_the_doctor_looks_from_inside(platform):
    """At everything but the rights of who installs; and its account and rights go."""
    said = platform.helm.run("test", RELEASE, "--logs", timeout=400)
    assert "Succeeded" in said
    made = len(CHECKS) - len({"rights"})
    assert re.search(rf"kf-spawner doctor: 0 errors, 0 warnings in {made} checks$", said, re.MULTILINE), said
    assert doctors_objects(platform) == ""


async def test_the_doctor_names_a_defect_from_inside(platform):
    """`helm test` fails, and its pod stays for its log."""
    platform.kubectl("scale", "deployment", "operator", "--replicas=0")
    try:
        platform.kubectl("wait", "--for=delete", "pod", "-l", "app.kubernetes.io/component=operator", "--timeout=50s")
        with pytest.raises(HelmFailed):
            platform.helm.run("test", RELEASE, timeout=400)
        log = platform.kubectl("logs", "doctor")
    finally:
        platform.kubectl("delete", "pod", "doctor", "--ignore-not-found")
        platform.kubectl("scale", "deployment", "operator", "--replicas=2")
    [first] = [line for line in log.splitlines() if line.startswith(("error: ", "warning: "))]
    turned_off = f"The operator is turned off: Deployment {NAMESPACE}/operator is scaled to 0 replicas."
    assert first == f"error: operator: {turned_off}"
    assert doctors_objects(platform) == ""


def doctors_objects(platform: Platform) -> str:
    kinds = "serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings"
    return platform.kubectl("get", kinds, "-l", "app.kubernetes.io/component=doctor", "-o", "name")


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
