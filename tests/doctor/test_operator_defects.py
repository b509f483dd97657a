"""Each defect of the TFJob operator and its kind is named, with what to do."""

from datetime import UTC, datetime, timedelta

import yaml

from kf_spawner.doctor import tfjobs
from kf_spawner.doctor.run import MANIFESTS
from kf_spawner.kube.resources import CRDS, DEPLOYMENTS, LEASES

from . import fake_cluster
from .conftest import apply_crd
from .expectations import NO_IMAGE, is_waiting, only
from .fake_cluster import FakeCluster


async def test_the_operator_is_turned_off(cluster: FakeCluster):
    await cluster.install_platform()
    await cluster.client.patch(DEPLOYMENTS, "operator", {"spec": {"replicas": 0}}, cluster.namespace)
    await cluster.until(lambda: has_none_ready(cluster, "operator"))
    finding = only(await cluster.run_doctor(skip={"pod"}), "operator")
    assert "The operator is turned off" in finding.cause
    assert "--replicas 2" in finding.remedy


async def test_the_operator_is_down(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.keeps_waiting(
        "ImagePullBackOff", NO_IMAGE, of=fake_cluster.is_component("operator")
    )
    await cluster.install_platform(but="operator")
    await cluster.pod_of("operator", is_waiting)
    report = await cluster.run_doctor(skip={"pod"})
    assert [finding.check for finding in report.findings] == ["operator", "platform"]
    assert "The operator is down" in report.findings[0].cause
    assert "the registry has no such image" in report.findings[1].cause


async def test_the_operator_hangs(cluster: FakeCluster):
    await cluster.install_platform()
    long_ago = (datetime.now(UTC) - timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": tfjobs.LEASE},
        "spec": {"holderIdentity": "operator-1", "leaseDurationSeconds": 15, "renewTime": long_ago},
    }
    await cluster.client.create(LEASES, lease, cluster.namespace)
    finding = only(await cluster.run_doctor(skip={"pod"}), "operator")
    assert "No operator leads: operator-1 led last" in finding.cause


async def test_a_kind_of_another_version(cluster: FakeCluster, control_plane):
    theirs = yaml.safe_load((MANIFESTS / "tfjobs-crd.yaml").read_text())
    theirs["spec"]["versions"] = theirs["spec"]["versions"][:1]
    await cluster.client.apply(CRDS, theirs, field_manager="kubectl")
    try:
        finding = only(await cluster.run_doctor(skip={"pod"}), "crd")
    finally:
        await apply_crd(control_plane, cluster.client)
    assert "is of another version of this product" in finding.cause
    assert "spec.versions[v1beta2]" in finding.cause


async def test_a_kind_that_is_gone(cluster: FakeCluster, control_plane):
    await cluster.client.delete(CRDS, tfjobs.CRD)
    try:
        await cluster.until(lambda: is_gone(cluster))
        before = await cluster.run_doctor(skip={"pod"})
        await cluster.install_platform()
        finding = only(await cluster.run_doctor(skip={"pod"}), "crd")
    finally:
        await apply_crd(control_plane, cluster.client)
    assert before.findings == []
    assert "the CustomResourceDefinition tfjobs.kubeflow.org is missing" in finding.cause


async def has_none_ready(cluster: FakeCluster, name: str) -> bool:
    return not (await cluster.client.get(DEPLOYMENTS, name, cluster.namespace))["status"].get("readyReplicas")


async def is_gone(cluster: FakeCluster) -> bool:
    found = await cluster.client.list(CRDS, field_selector=f"metadata.name={tfjobs.CRD}")
    return not found["items"]
