"""Whether an account may install the platform: what it lacks is named."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kf_spawner.doctor import api
from kf_spawner.doctor.findings import CHECKS
from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLUSTERROLEBINDINGS, CLUSTERROLES

from .fake_cluster import FakeCluster

GROUP = "rbac.authorization.k8s.io"
OTHERS = set(CHECKS) - {"rights"}


@pytest.fixture
def having(cluster: FakeCluster, control_plane) -> Callable:
    """A client of an account with these rights, in every namespace."""

    @asynccontextmanager
    async def made(name: str, rights: list[api.Right]) -> AsyncIterator[Client]:
        meta = {"apiVersion": f"{GROUP}/v1", "metadata": {"name": name}}
        rules = [
            {
                "apiGroups": [right.group],
                "resources": [right.resource],
                "verbs": [right.verb],
                **({"resourceNames": [right.name]} if right.name else {}),
            }
            for right in rights
        ]
        await cluster.client.apply(
            CLUSTERROLES, {**meta, "kind": "ClusterRole", "rules": rules}, field_manager="test"
        )
        reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "User", "name": name, "apiGroup": GROUP}]
        binding = {**meta, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": subjects}
        await cluster.client.apply(CLUSTERROLEBINDINGS, binding, field_manager="test")
        async with Client(load_config(control_plane.kubeconfig(name)), user_agent="test") as client:
            yield client

    return made


async def lacks(cluster: FakeCluster, client: Client, **options) -> str:
    """What the only finding says, if there is one."""
    report = await cluster.run_doctor(client=client, skip=OTHERS, **options)
    assert len(report.findings) <= 1
    return report.findings[0].cause.rpartition(" it lacks ")[2] if report.findings else ""


async def test_none_at_all(cluster: FakeCluster, control_plane):
    async with Client(load_config(control_plane.kubeconfig("stranger")), user_agent="test") as client:
        report = await cluster.run_doctor(client=client)
    [finding] = [finding for finding in report.findings if finding.check == "rights"]
    assert "stranger may not install the platform" in finding.cause
    assert "lacks customresourcedefinitions.apiextensions.k8s.io (get, create, patch, delete)" in finding.cause
    assert "clusterroles.rbac.authorization.k8s.io (get, create, patch, delete)" in finding.cause
    assert set(report.passed_over) == set(CHECKS) - {"api", "rights", "leftovers"}


async def test_all_that_is_needed(cluster: FakeCluster, having):
    async with having("installs", [*api.to_install(), *api.GIVE_AWAY]) as client:
        assert await lacks(cluster, client) == ""


async def test_to_make_but_not_to_upgrade_or_remove(cluster: FakeCluster, having):
    """Its first `helm install` would succeed, and everything after it fail."""
    makes = [right for right in api.to_install() if right.verb in ("get", "create", "patch")]
    async with having("makes", [*makes, *api.GIVE_AWAY]) as client:
        said = await lacks(cluster, client)
    assert "secrets (delete, list, update)" in said
    assert "services (delete)" in said


async def test_to_make_roles_but_not_to_bind_them(cluster: FakeCluster, having):
    async with having("escalates", [*api.to_install(), api.GIVE_AWAY[0]]) as client:
        assert "pods (create, delete, " in await lacks(cluster, client)


async def test_to_make_a_namespace_that_is_not_there(cluster: FakeCluster, having):
    look = api.Right("", "namespaces", "get")
    async with having("inside", [*api.to_install(), *api.GIVE_AWAY, look]) as client:
        assert await lacks(cluster, client) == ""
        cluster.namespace = "not-yet"
        assert await lacks(cluster, client) == "namespaces (create)."
