"""`helm test`: with the rights and arguments that the chart gives it, and no more, the doctor looks at everything."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kf_spawner.doctor.app import Doctor
from kf_spawner.doctor.findings import Severity
from kf_spawner.doctor.probe import Terms, of_network
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import (
    ADMISSIONPOLICIES,
    ADMISSIONPOLICYBINDINGS,
    CLUSTERROLEBINDINGS,
    CLUSTERROLES,
    PODS,
    ROLEBINDINGS,
    ROLES,
    SERVICEACCOUNTS,
    VOLUMES,
)
from tests.fixtures.helm import Helm, only

from .fake_cluster import FakeCluster

USER = "doctor"
ACCOUNT = "kf-spawner-doctor"
GROUP = "rbac.authorization.k8s.io"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


@pytest.fixture(scope="module")
def renderer(tmp_path_factory) -> Helm:
    folder = tmp_path_factory.mktemp("helm")
    return Helm.at(folder / "none", "platform", folder)


@pytest.fixture(scope="module")
def chart(renderer: Helm) -> list[dict]:
    return renderer.render()


def settings(objects: list[dict]) -> Doctor:
    """What the chart's pod tells the doctor."""
    [container] = only(objects, "Pod", "doctor")["spec"]["containers"]
    assert container["args"][:2] == ["kf-spawner", "doctor"]
    app = Doctor()
    app.parse_command_line(container["args"][2:])
    return app


@pytest.fixture
async def account(cluster: FakeCluster, control_plane, chart: list[dict]) -> AsyncIterator[Client]:
    """A client with the chart's rights, and the probes' in the platform's namespace."""
    subjects = [{"kind": "User", "name": USER, "apiGroup": GROUP}]
    for roles, bindings, namespace in (
        (ROLES, ROLEBINDINGS, cluster.namespace),
        (CLUSTERROLES, CLUSTERROLEBINDINGS, None),
    ):
        meta = {"name": USER, **({"namespace": namespace} if namespace else {})}
        role = {"apiVersion": f"{GROUP}/v1", "kind": roles.kind, "metadata": meta}
        rules = only(chart, roles.kind, ACCOUNT)["rules"]
        await cluster.client.apply(roles, {**role, "rules": rules}, field_manager="test")
        reference = {"apiGroup": GROUP, "kind": roles.kind, "name": USER}
        binding = {**role, "kind": bindings.kind, "roleRef": reference, "subjects": subjects}
        await cluster.client.apply(bindings, binding, field_manager="test")
    async with Client(load_config(control_plane.kubeconfig(USER)), user_agent="test") as client:
        yield client


async def test_its_rights_suffice(cluster: FakeCluster, account: Client, chart: list[dict]):
    await cluster.install_platform()
    skip = settings(chart).skip.split(",")
    report = await cluster.run_doctor(client=account, place=cluster.namespace, skip=skip)
    assert (report.findings, report.passed_over, report.installed) == ([], {}, True)
    assert skip == ["rights"]
    assert await cluster.leftovers() == []


async def test_it_makes_its_probes_and_no_other_pod(cluster: FakeCluster, account: Client, chart: list[dict]):
    """An account that may make any pod in the platform's namespace can act as the hub."""
    policy = only(chart, "ValidatingAdmissionPolicy", ACCOUNT)
    policy["spec"]["matchConditions"][0]["expression"] = f"request.userInfo.username == '{USER}'"
    del policy["metadata"]["annotations"]
    await cluster.client.apply(ADMISSIONPOLICIES, policy, field_manager="test")
    binding = only(chart, "ValidatingAdmissionPolicyBinding", ACCOUNT)
    await cluster.client.apply(ADMISSIONPOLICYBINDINGS, binding, field_manager="test")
    probe = of_network(Terms(cluster.namespace, "kf-doctor-1"), image="image").pod

    async def refusal(name: str = probe["metadata"]["name"], **spec: object) -> str:
        pod = {**probe, "metadata": {**probe["metadata"], "name": name}, "spec": {**probe["spec"], **spec}}
        try:
            await account.request("POST", path_of(PODS, cluster.namespace), params={"dryRun": "All"}, body=pod)
        except Forbidden as error:
            return error.message
        return ""

    container = probe["spec"]["containers"][0]
    from_secret = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "cookie-secret"}}}]
    async with asyncio.timeout(60):
        while not await refusal("hub-2"):
            await asyncio.sleep(0.1)
    assert "kf-doctor-… alone" in await refusal("hub-2")
    hub = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hub", "namespace": cluster.namespace}}
    await cluster.client.apply(SERVICEACCOUNTS, hub, field_manager="test")
    for spec in (
        {"serviceAccountName": "hub"},
        {"automountServiceAccountToken": True},
        {"volumes": [{"name": "v", "secret": {"secretName": "hub"}}]},
        {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "hub-db"}}]},
        {"containers": [{**container, "env": from_secret}]},
        {"containers": [{**container, "envFrom": [{"secretRef": {"name": "hub"}}]}]},
    ):
        assert "the doctor's pods have no token" in await refusal(**spec), spec
    assert await refusal() == ""
    await cluster.install_platform()
    report = await cluster.run_doctor(client=account, place=cluster.namespace, skip={"rights"})
    assert report.findings == []
    for resource in (ADMISSIONPOLICYBINDINGS, ADMISSIONPOLICIES):
        await cluster.client.delete(resource, ACCOUNT)


async def test_a_volume_that_it_may_not_remove_is_named(cluster: FakeCluster, account: Client):
    async with cluster.changed_storage_class(reclaimPolicy="Retain"):
        report = await cluster.run_doctor(client=account, place=cluster.namespace, skip={"rights"})
    left = await cluster.leftovers()
    for volume in (await cluster.client.list(VOLUMES))["items"]:
        await cluster.client.delete(VOLUMES, volume["metadata"]["name"])
    [finding] = report.findings
    assert (finding.check, finding.severity, report.healthy) == ("leftovers", Severity.WARNING, True)
    assert left == [" ".join(finding.command.split()[2:]).replace("persistentvolume", "PersistentVolume")]


def test_its_rights_are_documented(chart: list[dict]):
    text = " ".join(DOCS.read_text().split())
    for kind in ("Role", "ClusterRole"):
        for rule in only(chart, kind, ACCOUNT)["rules"]:
            words = [", ".join(f"`{word}`" for word in rule[key]) for key in ("verbs", "resources")]
            assert " of ".join(words) in text


def test_without_roles_of_the_chart_it_has_none(renderer: Helm):
    objects = renderer.render({"rbac": {"create": False}})
    assert not [obj for obj in objects if re.match(r"(Cluster)?Role(Binding)?$", obj["kind"])]
    assert only(objects, "ServiceAccount", ACCOUNT)


def test_it_ends_before_helm_loses_its_patience(chart: list[dict]):
    assert settings(chart).timeout < 300


def test_what_users_pods_are_told_its_probes_are_told(renderer: Helm):
    ours = {"key": "team", "operator": "Equal", "value": "vision, and more", "effect": "NoSchedule"}
    user = {"extraTolerations": [ours], "storage": {"dynamic": {"storageClass": "fast"}}}
    values = {
        "images": {"registry": "registry.example.com", "tag": "9"},
        "imagePullSecrets": ["pull"],
        "prePuller": {"images": ["model-server"]},
        "singleuser": {**user, "image": {"name": "mine", "tag": "2", "label": "Mine"}},
    }
    told = settings(renderer.render(values))
    assert [each["key"] for each in told.pod_tolerations()] == ["hub.jupyter.org/dedicated", "team"]
    assert told.pod_tolerations()[1] == ours
    assert told.images == "registry.example.com/kf-spawner/model-server:9,mine:2"
    assert (told.storage_class, told.pull_secrets) == ("fast", "pull")
    # Its secret is one of users' namespaces: a pod of the release's could not pull it.
    values["singleuser"]["image"]["pullSecrets"] = ["theirs"]
    assert settings(renderer.render(values)).images == "registry.example.com/kf-spawner/model-server:9"
