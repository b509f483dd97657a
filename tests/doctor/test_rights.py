"""Whether an account may install the platform: what it lacks is named."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from kf_spawner.doctor import api
from kf_spawner.doctor.findings import CHECKS
from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLUSTERROLEBINDINGS, CLUSTERROLES

from .stage import Stage

GROUP = "rbac.authorization.k8s.io"
OTHERS = set(CHECKS) - {"rights"}


@pytest.fixture
def having(stage: Stage, control_plane) -> Callable:
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
        await stage.client.apply(CLUSTERROLES, {**meta, "kind": "ClusterRole", "rules": rules}, field_manager="test")
        reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "User", "name": name, "apiGroup": GROUP}]
        binding = {**meta, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": subjects}
        await stage.client.apply(CLUSTERROLEBINDINGS, binding, field_manager="test")
        async with Client(load_config(control_plane.kubeconfig(name)), user_agent="test") as client:
            yield client

    return made


async def lacks(stage: Stage, client: Client, **options) -> str:
    """What the only finding says, if there is one."""
    report = await stage.examine(client=client, skip=OTHERS, **options)
    assert len(report.findings) <= 1
    return report.findings[0].cause.rpartition(" it lacks ")[2] if report.findings else ""


async def test_none_at_all(stage: Stage, control_plane):
    async with Client(load_config(control_plane.kubeconfig("stranger")), user_agent="test") as client:
        report = await stage.examine(client=client)
    [finding] = [finding for finding in report.findings if finding.check == "rights"]
    assert "stranger may not install the platform" in finding.cause
    assert "lacks customresourcedefinitions.apiextensions.k8s.io (get, create, patch, delete)" in finding.cause
    assert "clusterroles.rbac.authorization.k8s.io (get, create, patch, delete)" in finding.cause
    assert set(report.passed_over) == set(CHECKS) - {"api", "rights", "leftovers"}


async def test_all_that_is_needed(stage: Stage, having):
    async with having("installs", [*api.to_install(), *api.GIVE_AWAY]) as client:
        assert await lacks(stage, client) == ""


async def test_to_make_but_not_to_upgrade_or_remove(stage: Stage, having):
    """Its first `helm install` would succeed, and everything after it fail."""
    makes = [right for right in api.to_install() if right.verb in ("get", "create", "patch")]
    async with having("makes", [*makes, *api.GIVE_AWAY]) as client:
        said = await lacks(stage, client)
    assert "secrets (delete, list, update)" in said
    assert "services (delete)" in said


async def test_to_make_roles_but_not_to_bind_them(stage: Stage, having):
    async with having("escalates", [*api.to_install(), api.GIVE_AWAY[0]]) as client:
        assert "pods (create, delete, " in await lacks(stage, client)


async def test_to_make_a_namespace_that_is_not_there(stage: Stage, having):
    look = api.Right("", "namespaces", "get")
    async with having("inside", [*api.to_install(), *api.GIVE_AWAY, look]) as client:
        assert await lacks(stage, client) == ""
        stage.namespace = "not-yet"
        assert await lacks(stage, client) == "namespaces (create)."
