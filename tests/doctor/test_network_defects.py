"""Each defect of a cluster's network, DNS and node clocks is named, with what to do."""

from kf_spawner.doctor.findings import Severity
from kf_spawner.doctor.run import PROBES
from kf_spawner.kube.resources import PODS

from . import fake_cluster
from .expectations import has_events, is_tidy, only
from .fake_cluster import NO_PLUGIN, FakeCluster

CALICO = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"0c1f": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: '
    "check that the calico/node container is running and has mounted /var/lib/calico/"
)


async def test_no_network_plugin(cluster: FakeCluster):
    await cluster.set_node(ready=False, message=NO_PLUGIN)
    try:
        report = await cluster.run_doctor()
    finally:
        await cluster.set_node()
    finding = only(report, "nodes")
    assert "no working network plugin" in finding.cause
    assert "cni plugin not initialized" in finding.cause
    assert set(report.passed_over) == set(PROBES)


async def test_a_broken_network_plugin(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.fails_with_event("FailedCreatePodSandBox", CALICO)
    finding = only(await cluster.run_doctor(), "network")
    assert "the network plugin calico is broken on node fake-node" in finding.cause
    assert "/var/lib/calico/nodename" in finding.cause
    await is_tidy(cluster)


async def test_a_broken_network_plugin_keeps_the_platform_waiting(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.fails_with_event(
        "FailedCreatePodSandBox", CALICO, of=fake_cluster.is_component("hub")
    )
    await cluster.install_platform(but="hub")
    pod = await cluster.pod_of("hub")
    await cluster.until(lambda: has_events(cluster, pod))
    finding = only(await cluster.run_doctor(skip={"pod"}), "platform")
    assert pod["metadata"]["name"] in finding.cause
    assert "the network plugin calico is broken" in finding.cause


async def test_no_dns(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.probes_report({"dns": "[Errno -3] Temporary failure in name resolution"})
    [coredns] = (await cluster.client.list(PODS, "kube-system", label_selector="k8s-app=kube-dns"))["items"]
    await cluster.set_status(coredns, conditions=[{"type": "Ready", "status": "False"}])
    try:
        finding = only(await cluster.run_doctor(), "dns")
    finally:
        await fake_cluster.report_ready(cluster, coredns)
    assert "cannot resolve names: the cluster's DNS is down" in finding.cause
    assert "Temporary failure in name resolution" in finding.cause


async def test_no_service_network(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.probes_report({"service": "timed out"})
    finding = only(await cluster.run_doctor(), "network")
    assert "cannot reach the API server at its service address 10.96.0.1: timed out" in finding.cause
    assert "kube-proxy" in finding.remedy


async def test_a_node_whose_clock_is_wrong(cluster: FakeCluster):
    cluster.clock_ahead = 120
    await cluster.renew_lease()
    try:
        report = await cluster.run_doctor(skip={"pod"})
    finally:
        cluster.clock_ahead = 0
        await cluster.renew_lease()
    [finding] = report.findings
    assert (finding.check, finding.severity, report.healthy) == ("clock", Severity.WARNING, True)
    assert "The clock of node fake-node is 1" in finding.cause
