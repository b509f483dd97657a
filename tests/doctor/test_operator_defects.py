"""Each defect of the TFJob operator and its kind is named, with what to do."""

from datetime import UTC, datetime, timedelta

import yaml

from kf_spawner.doctor import tfjobs
from kf_spawner.doctor.run import MANIFESTS
from kf_spawner.kube.resources import CRDS, DEPLOYMENTS, LEASES

from . import stage as play
from .conftest import apply_crd
from .expectations import NO_IMAGE, is_waiting, only
from .stage import Stage


async def test_the_operator_is_turned_off(stage: Stage):
    await stage.installed()
    await stage.client.patch(DEPLOYMENTS, "operator", {"spec": {"replicas": 0}}, stage.namespace)
    await stage.until(lambda: has_none_ready(stage, "operator"))
    finding = only(await stage.examine(skip={"pod"}), "operator")
    assert "The operator is turned off" in finding.cause
    assert "--replicas 2" in finding.remedy


async def test_the_operator_is_down(stage: Stage):
    stage.play = play.waits("ImagePullBackOff", NO_IMAGE, of=play.is_part("operator"))
    await stage.installed(but="operator")
    await stage.pod_of("operator", is_waiting)
    report = await stage.examine(skip={"pod"})
    assert [finding.check for finding in report.findings] == ["operator", "platform"]
    assert "The operator is down" in report.findings[0].cause
    assert "the registry has no such image" in report.findings[1].cause


async def test_the_operator_hangs(stage: Stage):
    await stage.installed()
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": tfjobs.LEASE},
        "spec": {"holderIdentity": "operator-1", "leaseDurationSeconds": 15, "renewTime": long_ago},
    }
    await stage.client.create(LEASES, lease, stage.namespace)
    finding = only(await stage.examine(skip={"pod"}), "operator")
    assert "No operator leads: operator-1 led last" in finding.cause


async def test_a_kind_of_another_version(stage: Stage, control_plane):
    theirs = yaml.safe_load((MANIFESTS / "tfjobs-crd.yaml").read_text())
    theirs["spec"]["versions"] = theirs["spec"]["versions"][:1]
    await stage.client.apply(CRDS, theirs, field_manager="kubectl")
    try:
        finding = only(await stage.examine(skip={"pod"}), "crd")
    finally:
        await apply_crd(control_plane, stage.client)
    assert "is of another version of this product" in finding.cause
    assert "spec.versions[v1beta2]" in finding.cause


async def test_a_kind_that_is_gone(stage: Stage, control_plane):
    await stage.client.delete(CRDS, tfjobs.CRD)
    try:
        await stage.until(lambda: is_gone(stage))
        before = await stage.examine(skip={"pod"})
        await stage.installed()
        finding = only(await stage.examine(skip={"pod"}), "crd")
    finally:
        await apply_crd(control_plane, stage.client)
    assert before.findings == []
    assert "the CustomResourceDefinition tfjobs.kubeflow.org is missing" in finding.cause


async def has_none_ready(stage: Stage, name: str) -> bool:
    return not (await stage.client.get(DEPLOYMENTS, name, stage.namespace))["status"].get("readyReplicas")


async def is_gone(stage: Stage) -> bool:
    found = await stage.client.list(CRDS, field_selector=f"metadata.name={tfjobs.CRD}")
    return not found["items"]
