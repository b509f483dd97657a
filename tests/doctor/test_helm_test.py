"""`helm test`: with the rights and arguments that the chart gives it, and no more, the doctor looks at everything."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kf_spawner.doctor.app import Doctor
from kf_spawner.doctor.findings import Severity
from kf_spawner.doctor.probe import Terms, of_claim, of_network
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import (
    ADMISSIONPOLICIES,
    ADMISSIONPOLICYBINDINGS,
    CLAIMS,
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

PLATFORM = "platform"
USER = "doctor"
ACCOUNT = "kf-spawner-doctor"
BINDING = (ACCOUNT, "kf-spawner-pods", "kf-spawner-claims")
"""The policies for its account."""
GROUP = "rbac.authorization.k8s.io"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "doctor.md"


@pytest.fixture(scope="module")
def renderer(tmp_path_factory) -> Helm:
    folder = tmp_path_factory.mktemp("helm")
    return Helm.at(folder / "none", PLATFORM, folder)


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


@pytest.fixture
async def policies(cluster: FakeCluster, account: Client, chart: list[dict]) -> AsyncIterator[None]:
    """The chart's policies for its account, in force."""
    kinds = (ADMISSIONPOLICIES, ADMISSIONPOLICYBINDINGS)
    made = [(kind, only(chart, kind.kind, name)) for kind in kinds for name in BINDING]
    for kind, obj in made:
        text = json.dumps(obj).replace(f"system:serviceaccount:{PLATFORM}:{ACCOUNT}", USER)
        await cluster.client.apply(kind, json.loads(text), field_manager="test")
    probe = of_network(Terms(cluster.namespace, "kf-doctor-0"), image="image").pod
    bad = (
        {**probe, "metadata": {**probe["metadata"], "name": "hub-2"}},
        {**probe, "spec": {**probe["spec"], "hostPID": True}},
        {**claim_of(cluster), "spec": {**claim_of(cluster)["spec"], "volumeName": "v"}},
    )
    async with asyncio.timeout(60):
        while not all([await refusal(account, each) for each in bad]):
            await asyncio.sleep(0.1)
    yield
    for kind, obj in made:
        await cluster.client.delete(kind, obj["metadata"]["name"])


def claim_of(cluster: FakeCluster) -> dict:
    claim = of_claim(Terms(cluster.namespace, "kf-doctor-0"), image="image").claim
    assert claim
    return claim


async def refusal(client: Client, obj: dict) -> str:
    """What the API server says to an object that is to be made, in a dry run; empty if it takes it."""
    resource = PODS if obj["kind"] == "Pod" else CLAIMS
    try:
        path = path_of(resource, obj["metadata"]["namespace"])
        await client.request("POST", path, params={"dryRun": "All"}, body=obj)
    except Forbidden as error:
        return error.message
    return ""


FROM_SECRET = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hub", "key": "cookie-secret"}}}]
ALL_OF_SECRET = [{"secretRef": {"name": "hub"}}]
MOUNTED = {"persistentVolumeClaim": {"claimName": "hub-db"}}
MORE = {"capabilities": {"add": ["SYS_ADMIN"]}}
HUB_DB = {"kind": "PersistentVolumeClaim", "name": "hub-db"}


def second(**fields: object) -> list[dict]:
    return [{"name": "second", "image": "image", **fields}]


async def test_it_makes_its_probes_and_no_other_pod(cluster: FakeCluster, account: Client, policies: None):
    """An account that may make any pod in the platform's namespace can act as the hub."""
    probe = of_network(Terms(cluster.namespace, "kf-doctor-1"), image="image").pod
    hub = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "hub", "namespace": cluster.namespace}}
    await cluster.client.apply(SERVICEACCOUNTS, hub, field_manager="test")
    other = {**probe, "metadata": {**probe["metadata"], "name": "hub-2"}}
    assert "kf-doctor-… alone" in await refusal(account, other)
    container = probe["spec"]["containers"][0]
    for spec, said in (
        ({"serviceAccountName": "hub"}, "have no token"),
        ({"automountServiceAccountToken": True}, "have no token"),
        ({"volumes": [{"name": "v", "secret": {"secretName": "hub"}}]}, "have no token"),
        ({"volumes": [{"name": "v", **MOUNTED}]}, "have no token"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "denied request: spec"),  # by two policies
        ({"containers": [{**container, "env": FROM_SECRET}]}, "have no token"),
        ({"containers": [{**container, "envFrom": ALL_OF_SECRET}]}, "have no token"),
        ({"initContainers": second(env=FROM_SECRET)}, "have no token"),
        ({"initContainers": second(envFrom=ALL_OF_SECRET)}, "have no token"),
        ({"initContainers": second(securityContext=MORE)}, "add no capability"),
        ({"hostNetwork": True}, "no host namespaces"),
        ({"hostPID": True}, "no host namespaces"),
        ({"hostIPC": True}, "no host namespaces"),
    ):
        assert said in await refusal(account, {**probe, "spec": {**probe["spec"], **spec}}), spec
    assert await refusal(account, probe) == ""
    assert await refusal(account, {**probe, "spec": {**probe["spec"], "initContainers": second()}}) == ""
    await cluster.install_platform()
    report = await cluster.run_doctor(client=account, place=cluster.namespace, skip={"rights"})
    assert report.findings == []


async def test_its_claim_gets_a_new_volume(cluster: FakeCluster, account: Client, policies: None):
    """The platform's namespace has the claim with the hub's database."""
    claim = claim_of(cluster)
    for choice in ({"volumeName": "v"}, {"dataSource": HUB_DB}, {"storageClassName": ""}):
        assert "claim" in await refusal(account, {**claim, "spec": {**claim["spec"], **choice}}), choice
    assert await refusal(account, claim) == ""


async def test_a_running_probe_gets_no_container_with_a_secret(cluster: FakeCluster, account: Client, policies: None):
    """Also where an administrator gives its account the right to add containers."""
    rules = [{"apiGroups": [""], "resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]}]
    meta = {"name": "more", "namespace": cluster.namespace}
    role = {"apiVersion": f"{GROUP}/v1", "kind": "Role", "metadata": meta}
    await cluster.client.apply(ROLES, {**role, "rules": rules}, field_manager="test")
    binding = {
        **role,
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": GROUP, "kind": "Role", "name": "more"},
        "subjects": [{"kind": "User", "name": USER, "apiGroup": GROUP}],
    }
    await cluster.client.apply(ROLEBINDINGS, binding, field_manager="test")
    probe = of_network(Terms(cluster.namespace, "kf-doctor-2"), image="image").pod
    probe["spec"]["schedulingGates"] = [{"name": "test"}]  # no node of another test runs it
    await cluster.client.create(PODS, probe, cluster.namespace)

    async def added(**fields: object) -> str:
        try:
            await account.request(
                "PATCH",
                path_of(PODS, cluster.namespace, probe["metadata"]["name"], "ephemeralcontainers"),
                params={"dryRun": "All"},
                body={"spec": {"ephemeralContainers": second(**fields)}},
                content_type="application/strategic-merge-patch+json",
            )
        except Forbidden as error:
            return error.message
        return ""

    async with asyncio.timeout(60):
        while "RBAC" in (said := await added(envFrom=ALL_OF_SECRET)) or "cannot patch" in said:
            await asyncio.sleep(0.1)
    assert "have no token" in said
    assert "have no token" in await added(env=FROM_SECRET)
    assert "add no capability" in await added(securityContext=MORE)
    assert await added() == ""
    await cluster.client.delete(PODS, probe["metadata"]["name"], cluster.namespace)


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
