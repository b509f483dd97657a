"""Each defect of a cluster's storage is named, with what to do."""

from kf_spawner.kube.resources import RESOURCEQUOTAS

from . import stage as play
from .expectations import does_nothing, has_status, only
from .stage import CLASS, Stage


async def test_no_default_class(stage: Stage):
    async with stage.storage_class(metadata={"name": CLASS}):
        report = await stage.examine()
        finding = only(report, "storage")
        assert "no default StorageClass" in finding.cause
        assert f"There are: {CLASS}." in finding.cause
        assert set(report.passed_over) == {"claim"}
        named = await stage.examine(storage_class=CLASS)
        assert (named.findings, named.passed_over) == ([], {})
        absent = only(await stage.examine(storage_class="fast"), "storage")
        assert "The storage class fast does not exist" in absent.cause


async def test_a_class_that_refuses(stage: Stage):
    stage.provide = play.refuses_claims("no space left in pool ssd")
    finding = only(await stage.examine(), "claim")
    assert f"of storage class {CLASS} cannot be given a volume" in finding.cause
    assert "no space left in pool ssd" in finding.cause
    assert await stage.left() == []


async def test_a_class_that_never_binds(stage: Stage):
    stage.provide = does_nothing
    finding = only(await stage.examine(patience=play.Patience(timeout=1.5, trouble=60.0)), "claim")
    assert f"of storage class {CLASS} waits for its provisioner, which does not act" in finding.cause
    assert play.PROVISIONER in finding.cause


async def test_a_volume_that_users_cannot_write_to(stage: Stage):
    stage.play = play.says({"write": "[Errno 13] Permission denied: '/probe/kf-spawner-doctor'"})
    finding = only(await stage.examine(), "claim")
    assert f"(uid 1000, group 100) cannot write to a volume of class {CLASS}" in finding.cause


async def test_a_volume_that_its_class_would_keep_is_not_kept(stage: Stage):
    async with stage.storage_class(reclaimPolicy="Retain"):
        assert (await stage.examine()).findings == []
    assert await stage.left() == []


async def test_a_quota_in_the_way_of_claims(stage: Stage):
    hard = {"persistentvolumeclaims": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    finding = only(await stage.examine(place=stage.namespace, skip={"quota"}), "claim")
    assert finding.cause.startswith(f"Claims in namespace {stage.namespace} are refused: the quota none")
