"""With the rights that docs/doctor.md lists for `helm test`, and no more, the doctor looks at everything."""

from collections.abc import AsyncIterator

import pytest

from kf_spawner.doctor import tfjobs
from kf_spawner.doctor.findings import Severity
from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import CLUSTERROLEBINDINGS, CLUSTERROLES, ROLEBINDINGS, ROLES, VOLUMES

from .stage import Stage

USER = "doctor"
GROUP = "rbac.authorization.k8s.io"
IN_NAMESPACE = [
    {
        "apiGroups": [""],
        "resources": ["pods", "persistentvolumeclaims"],
        "verbs": ["get", "list", "create", "delete"],
    },
    {"apiGroups": [""], "resources": ["events", "resourcequotas"], "verbs": ["list"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": ["list"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [tfjobs.LEASE],
        "verbs": ["get"],
    },
]
OF_CLUSTER = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list"]},
    {"apiGroups": ["kubeflow.org"], "resources": ["tfjobs"], "verbs": ["list"]},
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "resourceNames": [tfjobs.CRD],
        "verbs": ["get"],
    },
]
NOT_FOR_AN_ACCOUNT = {"rights", "clock"}


@pytest.fixture
async def account(stage: Stage, control_plane) -> AsyncIterator[Client]:
    """A client with these rights, and the probes' in the platform's namespace."""
    subjects = [{"kind": "User", "name": USER, "apiGroup": GROUP}]
    kinds = (
        (ROLES, ROLEBINDINGS, IN_NAMESPACE, stage.namespace),
        (CLUSTERROLES, CLUSTERROLEBINDINGS, OF_CLUSTER, None),
    )
    for roles, bindings, rules, namespace in kinds:
        meta = {"name": USER, **({"namespace": namespace} if namespace else {})}
        role = {"apiVersion": f"{GROUP}/v1", "kind": roles.kind, "metadata": meta}
        await stage.client.apply(roles, {**role, "rules": rules}, field_manager="test")
        reference = {"apiGroup": GROUP, "kind": roles.kind, "name": USER}
        binding = {**role, "kind": bindings.kind, "roleRef": reference, "subjects": subjects}
        await stage.client.apply(bindings, binding, field_manager="test")
    async with Client(load_config(control_plane.kubeconfig(USER)), user_agent="test") as client:
        yield client


async def test_they_suffice(stage: Stage, account: Client):
    await stage.installed()
    report = await stage.examine(client=account, place=stage.namespace, skip=NOT_FOR_AN_ACCOUNT)
    assert (report.findings, report.passed_over, report.installed) == ([], {}, True)
    assert await stage.left() == []


async def test_a_volume_that_it_may_not_remove_is_named(stage: Stage, account: Client):
    async with stage.storage_class(reclaimPolicy="Retain"):
        report = await stage.examine(client=account, place=stage.namespace, skip=NOT_FOR_AN_ACCOUNT)
    left = await stage.left()
    for volume in (await stage.client.list(VOLUMES))["items"]:
        await stage.client.delete(VOLUMES, volume["metadata"]["name"])
    [finding] = report.findings
    assert (finding.check, finding.severity, report.healthy) == ("leftovers", Severity.WARNING, True)
    assert left == [" ".join(finding.command.split()[2:]).replace("persistentvolume", "PersistentVolume")]
