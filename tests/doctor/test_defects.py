"""A healthy cluster has no findings, and the doctor leaves nothing behind."""

import pytest

from kf_spawner.doctor.domains import shared_origin
from kf_spawner.doctor.findings import Severity
from kf_spawner.kube.resources import NAMESPACES
from kf_spawner.spawner.manifests import USER_ANNOTATION

from .fake_cluster import PROBES, FakeCluster


async def test_a_healthy_cluster_has_no_findings_before_the_platform_is_there(cluster: FakeCluster):
    report = await cluster.run_doctor(place="")
    assert (report.findings, report.passed_over, report.installed) == ([], {}, False)
    assert await cluster.leftovers() == []
    namespaces = (await cluster.client.list(NAMESPACES))["items"]
    assert not [item for item in namespaces if item["metadata"]["name"].startswith("kf-doctor-")]


async def test_a_healthy_cluster_has_no_findings_with_the_platform(cluster: FakeCluster):
    await cluster.install_platform()
    report = await cluster.run_doctor()
    assert (report.findings, report.passed_over, report.installed) == ([], {}, True)
    assert report.healthy
    assert await cluster.leftovers() == []


async def test_several_users_with_one_origin_are_a_note(cluster: FakeCluster):
    await cluster.install_platform()
    users = cluster.namespace, PROBES
    try:
        for number, name in enumerate(users):
            await annotate(cluster, name, f"user{number}")
        report = await cluster.run_doctor()
        [found] = report.findings
        assert (found.check, found.severity) == ("domains", Severity.NOTE)
        assert found.cause.startswith("The servers of 2 users have one origin")
        assert report.healthy, "it is a matter of who the users are"
    finally:
        for name in users:
            await annotate(cluster, name, None)


async def annotate(cluster: FakeCluster, namespace: str, user: str | None) -> None:
    await cluster.client.patch(NAMESPACES, namespace, {"metadata": {"annotations": {USER_ANNOTATION: user}}})


ON = [{"name": "KF_SUBDOMAINS", "value": "true"}]
OFF = [{"name": "KF_SUBDOMAINS", "value": "false"}]


@pytest.mark.parametrize(
    ("component", "environment", "users", "notes"),
    [
        ("hub", None, 2, 1),
        ("hub", OFF, 2, 1),
        ("hub", [{"name": "OTHER", "valueFrom": {}}], 5, 1),
        ("hub", ON, 5, 0),
        ("hub", None, 1, 0),
        ("hub", None, 0, 0),
        ("operator", None, 5, 0),
    ],
)
def test_who_shares_an_origin(component, environment, users, notes):
    metadata = {"name": component, "namespace": "jhub", "labels": {"app.kubernetes.io/component": component}}
    spec = {"template": {"spec": {"containers": [{"name": component, "env": environment}]}}}
    assert len(shared_origin([{"metadata": metadata, "spec": spec}], users=users)) == notes
