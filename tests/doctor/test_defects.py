"""A healthy cluster has no findings, and the doctor leaves nothing behind."""

from kf_spawner.kube.resources import NAMESPACES

from .stage import Stage


async def test_a_healthy_cluster_has_no_findings_before_the_platform_is_there(stage: Stage):
    report = await stage.examine(place="")
    assert (report.findings, report.passed_over, report.installed) == ([], {}, False)
    assert await stage.left() == []
    namespaces = (await stage.client.list(NAMESPACES))["items"]
    assert not [item for item in namespaces if item["metadata"]["name"].startswith("kf-doctor-")]


async def test_a_healthy_cluster_has_no_findings_with_the_platform(stage: Stage):
    await stage.installed()
    report = await stage.examine()
    assert (report.findings, report.passed_over, report.installed) == ([], {}, True)
    assert report.healthy
    assert await stage.left() == []
