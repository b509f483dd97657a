"""Each defect of a cluster's storage is named, with what to do."""

from kf_spawner.kube.resources import RESOURCEQUOTAS

from . import fake_cluster
from .expectations import does_nothing, has_status, only
from .fake_cluster import CLASS, FakeCluster


async def test_no_default_class(cluster: FakeCluster):
    async with cluster.changed_storage_class(metadata={"name": CLASS}):
        report = await cluster.run_doctor()
        finding = only(report, "storage")
        assert "no default StorageClass" in finding.cause
        assert f"There are: {CLASS}." in finding.cause
        assert set(report.passed_over) == {"claim"}
        named = await cluster.run_doctor(storage_class=CLASS)
        assert (named.findings, named.passed_over) == ([], {})
        absent = only(await cluster.run_doctor(storage_class="fast"), "storage")
        assert "The storage class fast does not exist" in absent.cause


async def test_a_class_that_refuses(cluster: FakeCluster):
    cluster.on_claim = fake_cluster.refuses_claims("no space left in pool ssd")
    finding = only(await cluster.run_doctor(), "claim")
    assert f"of storage class {CLASS} cannot be given a volume" in finding.cause
    assert "no space left in pool ssd" in finding.cause
    assert await cluster.leftovers() == []


async def test_a_class_that_never_binds(cluster: FakeCluster):
    cluster.on_claim = does_nothing
    finding = only(await cluster.run_doctor(patience=fake_cluster.Patience(timeout=1.5, trouble=60.0)), "claim")
    assert f"of storage class {CLASS} waits for its provisioner, which does not act" in finding.cause
    assert fake_cluster.PROVISIONER in finding.cause


async def test_a_volume_that_users_cannot_write_to(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.probes_report({"write": "[Errno 13] Permission denied: '/probe/kf-spawner-doctor'"})
    finding = only(await cluster.run_doctor(), "claim")
    assert f"(uid 1000, group 100) cannot write to a volume of class {CLASS}" in finding.cause


async def test_a_volume_that_its_class_would_keep_is_not_kept(cluster: FakeCluster):
    async with cluster.changed_storage_class(reclaimPolicy="Retain"):
        assert (await cluster.run_doctor()).findings == []
    assert await cluster.leftovers() == []


async def test_a_quota_in_the_way_of_claims(cluster: FakeCluster):
    hard = {"persistentvolumeclaims": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    await cluster.client.create(RESOURCEQUOTAS, quota, cluster.namespace)
    await cluster.until(lambda: has_status(cluster))
    finding = only(await cluster.run_doctor(place=cluster.namespace, skip={"quota"}), "claim")
    assert finding.cause.startswith(f"Claims in namespace {cluster.namespace} are refused: the quota none")
