"""What tests of defects wait for, and what they expect of a report."""

from kf_spawner.doctor.findings import Finding, Severity
from kf_spawner.doctor.run import Report
from kf_spawner.kube.resources import RESOURCEQUOTAS

from . import fake_cluster
from .fake_cluster import FakeCluster

NO_IMAGE = 'failed to pull and unpack image "docker.io/kf-spawner/hub:test": docker.io/kf-spawner/hub:test: not found'


def only(report: Report, check: str) -> Finding:
    """The report's one finding, which is an error of this check and tells what to do."""
    assert [finding.check for finding in report.findings] == [check], report.findings
    finding = report.findings[0]
    assert finding.severity == Severity.ERROR
    assert not report.healthy
    assert finding.remedy
    assert finding.command.startswith(("kubectl ", "helm "))
    return finding


def is_waiting(pod: dict) -> bool:
    return bool(pod["status"].get("containerStatuses"))


async def is_tidy(cluster: FakeCluster) -> None:
    """Where the claim was deleted while its volume was being made, its provisioner takes that back later."""
    assert [item for item in await cluster.leftovers() if not item.startswith("PersistentVolume ")] == []
    await cluster.until(lambda: has_nothing_left(cluster))


async def has_nothing_left(cluster: FakeCluster) -> bool:
    return not await cluster.leftovers()


async def has_events(cluster: FakeCluster, pod: dict) -> bool:
    result = pod["metadata"]["uid"]
    events = await cluster.client.list(
        fake_cluster.EVENTS, cluster.namespace, field_selector=f"involvedObject.uid={result}"
    )
    return any(event["type"] == "Warning" for event in events["items"])


async def has_status(cluster: FakeCluster, used: str = "") -> bool:
    [quota] = (await cluster.client.list(RESOURCEQUOTAS, cluster.namespace))["items"]
    status = quota.get("status") or {}
    return bool(status.get("hard")) and (not used or status["used"]["pods"] == used)


async def does_nothing(_cluster: FakeCluster, _obj: dict) -> None:
    pass
