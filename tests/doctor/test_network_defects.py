"""Each defect of a cluster's network, DNS and node clocks is named, with what to do."""

from kf_spawner.doctor.findings import Severity
from kf_spawner.doctor.run import PROBES
from kf_spawner.kube.resources import PODS

from . import stage as play
from .expectations import has_events, is_tidy, only
from .stage import NO_PLUGIN, Stage

CALICO = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"0c1f": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: '
    "check that the calico/node container is running and has mounted /var/lib/calico/"
)


async def test_no_network_plugin(stage: Stage):
    await stage.node(ready=False, message=NO_PLUGIN)
    try:
        report = await stage.examine()
    finally:
        await stage.node()
    finding = only(report, "nodes")
    assert "no working network plugin" in finding.cause
    assert "cni plugin not initialized" in finding.cause
    assert set(report.passed_over) == set(PROBES)


async def test_a_broken_network_plugin(stage: Stage):
    stage.play = play.tells("FailedCreatePodSandBox", CALICO)
    finding = only(await stage.examine(), "network")
    assert "the network plugin calico is broken on node stage" in finding.cause
    assert "/var/lib/calico/nodename" in finding.cause
    await is_tidy(stage)


async def test_a_broken_network_plugin_keeps_the_platform_waiting(stage: Stage):
    stage.play = play.tells("FailedCreatePodSandBox", CALICO, of=play.is_part("hub"))
    await stage.installed(but="hub")
    pod = await stage.pod_of("hub")
    await stage.until(lambda: has_events(stage, pod))
    finding = only(await stage.examine(skip={"pod"}), "platform")
    assert pod["metadata"]["name"] in finding.cause
    assert "the network plugin calico is broken" in finding.cause


async def test_no_dns(stage: Stage):
    stage.play = play.says({"dns": "[Errno -3] Temporary failure in name resolution"})
    [coredns] = (await stage.client.list(PODS, "kube-system", label_selector="k8s-app=kube-dns"))["items"]
    await stage.status(coredns, conditions=[{"type": "Ready", "status": "False"}])
    try:
        finding = only(await stage.examine(), "dns")
    finally:
        await play.is_ready(stage, coredns)
    assert "cannot resolve names: the cluster's DNS is down" in finding.cause
    assert "Temporary failure in name resolution" in finding.cause


async def test_no_service_network(stage: Stage):
    stage.play = play.says({"service": "timed out"})
    finding = only(await stage.examine(), "network")
    assert "cannot reach the API server at its service address 10.96.0.1: timed out" in finding.cause
    assert "kube-proxy" in finding.remedy


async def test_a_node_whose_clock_is_wrong(stage: Stage):
    await play.heartbeat(stage.client, ahead=120)
    try:
        report = await stage.examine(skip={"pod"})
    finally:
        await play.heartbeat(stage.client)
    [finding] = report.findings
    assert (finding.check, finding.severity, report.healthy) == ("clock", Severity.WARNING, True)
    assert "The clock of node stage is 1" in finding.cause
