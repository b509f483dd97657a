"""The chart on a real cluster: installed without values all parts come up, and the door leads to a login.

Needs the hub's image on the nodes (`make images ONLY=hub`, then `python -m tests.cluster load .images/hub.tar`).
"""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import HubClient
from tests.fixtures import helm as helms
from tests.fixtures.helm import CHART, RELEASE, Helm

NAMESPACE = "chart-test"
PARTS = ("hub", "proxy", "door", "operator", "dashboard")
COME_UP = 180
"""Seconds for all parts, on a machine that does other things as well."""


class Platform:
    """An installation of the chart without values."""

    def __init__(self, helm: Helm, kubectl):
        self.helm, self._kubectl = helm, kubectl

    def kubectl(self, *arguments: str) -> str:
        done = self._kubectl("--namespace", NAMESPACE, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until_up(self) -> None:
        for part in PARTS:
            self.kubectl("rollout", "status", f"deployment/{part}", f"--timeout={COME_UP}s")

    @property
    def password(self) -> str:
        data = json.loads(self.kubectl("get", "secret", "hub", "-o", "json"))["data"]
        return base64.b64decode(data["password"]).decode()

    @property
    def url(self) -> str:
        return "http://" + self.kubectl("get", "service", "door", "-o", "jsonpath={.spec.clusterIP}")

    def pods(self) -> dict[str, str]:
        """Part -> the uid of its pod; of the operator, of one."""
        items = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        label = "app.kubernetes.io/component"
        return {pod["metadata"]["labels"][label]: pod["metadata"]["uid"] for pod in items}


@pytest.fixture(scope="module")
def program() -> Path:
    return asyncio.run(helms.ensure(print))


@pytest.fixture
def platform(program, kubeconfig, kubectl, tmp_path) -> Iterator[Platform]:
    assert kubectl("create", "namespace", NAMESPACE).returncode == 0
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    assert kubectl("label", "namespace", NAMESPACE, restricted).returncode == 0
    helm = Helm(program, folder=tmp_path, kubeconfig=kubeconfig, namespace=NAMESPACE)
    helm.run("install", RELEASE, str(CHART))
    try:
        yield Platform(helm, kubectl)
    finally:
        helm.run("uninstall", RELEASE, "--ignore-not-found")
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        kubectl("delete", "crd", "tfjobs.kubeflow.org", "--ignore-not-found")
        kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=60s")


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
