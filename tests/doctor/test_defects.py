"""A healthy cluster has no findings, and the doctor leaves nothing behind."""

from kf_spawner.kube.resources import NAMESPACES

from .fake_cluster import FakeCluster


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
