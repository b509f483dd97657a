"""Each defect that a cluster can have is named, with what to do; a healthy cluster has none, and nothing is left."""

from datetime import UTC, datetime, timedelta

import yaml

from kf_spawner.doctor import tfjobs
from kf_spawner.doctor.findings import Finding, Severity
from kf_spawner.doctor.run import MANIFESTS, PROBES, Report
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import CRDS, DEPLOYMENTS, LEASES, NAMESPACES, NODES, PODS, RESOURCEQUOTAS, STATEFULSETS
from tests.fixtures.ports import free_port

from . import stage as play
from .conftest import apply_crd
from .stage import CLASS, NO_PLUGIN, Stage

WEBHOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False
)
CALICO = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"0c1f": plugin type="calico" failed (add): stat /var/lib/calico/nodename: no such file or directory: '
    "check that the calico/node container is running and has mounted /var/lib/calico/"
)
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


async def test_a_missing_image(stage: Stage):
    stage.play = play.waits("ErrImagePull", NO_IMAGE)
    finding = only(await stage.examine(), "images")
    assert play.IMAGE in finding.cause
    assert finding.command == "kubectl describe node stage"
    assert "the registry has no such image" in finding.cause


async def test_missing_images_of_several(stage: Stage):
    async def lacks(stage: Stage, pod: dict) -> None:
        missing = pod["spec"]["containers"][0]["image"].startswith("absent:")
        await (play.waits("ImagePullBackOff", NO_IMAGE) if missing else play.runs_well)(stage, pod)

    stage.play = lacks
    report = await stage.examine(images=("absent:1", "there:1", "absent:2"))
    assert [finding.check for finding in report.findings] == ["images", "images"]
    assert ["absent:1" in report.findings[0].cause, "absent:2" in report.findings[1].cause] == [True, True]


async def test_nodes_for_users_alone(stage: Stage):
    taint = {"key": "hub.jupyter.org/dedicated", "value": "user", "effect": "NoSchedule"}
    await stage.client.patch(NODES, play.NODE, {"spec": {"taints": [taint]}})
    try:
        finding = only(await stage.examine(), "nodes")
        report = await stage.examine(tolerations=({**taint, "operator": "Equal"},))
    finally:
        await stage.client.patch(NODES, play.NODE, {"spec": {"taints": []}})
    assert "stage has the taint hub.jupyter.org/dedicated" in finding.cause
    assert (report.findings, report.passed_over) == ([], {})


async def test_a_missing_configmap(stage: Stage):
    message = 'MountVolume.SetUp failed for volume "config" : configmap "hub-config" not found'
    stage.play = play.tells("FailedMount", message, of=play.is_part("hub"))
    await stage.installed(but="hub")
    await stage.until(lambda: is_told(stage, "hub"))
    finding = only(await stage.examine(skip={"pod"}), "platform")
    assert "the ConfigMap hub-config that it mounts does not exist" in finding.cause


async def test_a_missing_secret_in_the_environment(stage: Stage):
    stage.play = play.waits("CreateContainerConfigError", 'secret "proxy-token" not found', of=play.is_part("hub"))
    await stage.installed(but="hub")
    await stage.pod_of("hub", is_waiting)
    finding = only(await stage.examine(skip={"pod"}), "platform")
    assert "the Secret proxy-token that its environment reads does not exist" in finding.cause


async def test_a_program_that_crashes(stage: Stage):
    last = {"exitCode": 1, "reason": "Error", "message": "no such table: users"}
    stage.play = play.waits("CrashLoopBackOff", "back-off", of=play.is_part("hub"), restarts=3, last=last)
    await stage.installed(but="hub")
    await stage.pod_of("hub", is_waiting)
    finding = only(await stage.examine(skip={"pod"}), "platform")
    assert "ended with exit code 1" in finding.cause
    assert "no such table: users" in finding.cause
    assert finding.command.endswith("--container hub --previous")


async def test_a_full_quota(stage: Stage):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "2"}},
    }
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    await stage.installed()
    await stage.deployment("dashboard")
    await stage.until(lambda: is_refused(stage, "dashboard"))
    await stage.until(lambda: has_status(stage, used="2"))
    report = await stage.examine(skip={"pod"})
    assert [finding.check for finding in report.findings] == ["quota", "platform"]
    assert "pods 2 of 2 used" in report.findings[0].cause
    assert "The pods of Deployment" in report.findings[1].cause
    assert "the quota small of namespace" in report.findings[1].cause


async def test_pod_security_refuses(stage: Stage):
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    await stage.client.patch(NAMESPACES, stage.namespace, {"metadata": {"labels": level}})
    await stage.deployment("hub")
    await stage.until(lambda: is_refused(stage, "hub"))
    finding = only(await stage.examine(skip={"pod", "operator"}), "platform")
    assert "the Pod Security level of namespace" in finding.cause
    assert "runAsNonRoot" in finding.cause
    assert "enforce=baseline" in finding.remedy


async def test_probes_are_allowed_where_little_is(stage: Stage):
    """A quota that wants every container to name its resources, and the strictest Pod Security level."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    await stage.client.patch(NAMESPACES, stage.namespace, {"metadata": {"labels": level}})
    hard = {"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "4", "limits.memory": "4Gi"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": hard}}
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    assert (await stage.examine(place=stage.namespace)).findings == []


async def test_a_quota_in_the_way_of_probes(stage: Stage):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    report = await stage.examine(place=stage.namespace, skip={"quota"})
    assert "the quota none of namespace" in only(report, "pod").cause
    await is_tidy(stage)


async def test_a_statefulset_whose_pods_are_refused(stage: Stage):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "cpu"},
        "spec": {"hard": {"limits.cpu": "1"}},
    }
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    labels = {"app.kubernetes.io/name": "kf-spawner", "app.kubernetes.io/component": "hub"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "hub", "image": play.IMAGE}]}}
    spec = {"serviceName": "hub", "selector": {"matchLabels": labels}, "template": template}
    made = await stage.client.create(
        STATEFULSETS,
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "hub", "labels": labels},
            "spec": spec,
        },
        stage.namespace,
    )
    await stage.until(lambda: has_events(stage, made))
    finding = only(await stage.examine(skip={"pod", "operator"}), "platform")
    assert "the quota cpu wants each container to say limits.cpu" in finding.cause


async def test_a_webhook_that_does_not_answer(stage: Stage):
    webhook = {
        "name": "rules.stage.example",
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stage.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    body = {"apiVersion": WEBHOOKS.api_version, "kind": WEBHOOKS.kind, "metadata": {"name": stage.namespace}}
    await stage.client.create(WEBHOOKS, {**body, "webhooks": [webhook]})
    try:
        await stage.until(lambda: is_asked(stage))
        finding = only(await stage.examine(place=stage.namespace), "pod")
    finally:
        await stage.client.delete(WEBHOOKS, stage.namespace)
    assert "the admission webhook rules.stage.example does not answer" in finding.cause


async def test_a_node_whose_clock_is_wrong(stage: Stage):
    await play.heartbeat(stage.client, ahead=120)
    try:
        report = await stage.examine(skip={"pod"})
    finally:
        await play.heartbeat(stage.client)
    [finding] = report.findings
    assert (finding.check, finding.severity, report.healthy) == ("clock", Severity.WARNING, True)
    assert "The clock of node stage is 1" in finding.cause


async def test_a_quota_in_the_way_of_claims(stage: Stage):
    hard = {"persistentvolumeclaims": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    await stage.client.create(RESOURCEQUOTAS, quota, stage.namespace)
    await stage.until(lambda: has_status(stage))
    finding = only(await stage.examine(place=stage.namespace, skip={"quota"}), "claim")
    assert finding.cause.startswith(f"Claims in namespace {stage.namespace} are refused: the quota none")


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
    assert "No operator acts: operator-1 led last" in finding.cause


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


async def does_nothing(_stage: Stage, _obj: dict) -> None:
    pass


def is_waiting(pod: dict) -> bool:
    return bool(pod["status"].get("containerStatuses"))


async def is_asked(stage: Stage) -> bool:
    """Whether the API server knows of the webhook by now; nothing is made."""
    pod = {"metadata": {"name": "ask"}, "spec": {"containers": [{"name": "ask", "image": play.IMAGE}]}}
    try:
        await stage.client.request(
            "POST",
            path_of(PODS, stage.namespace),
            params={"dryRun": "All"},
            body={"apiVersion": "v1", "kind": "Pod", **pod},
        )
    except ApiError as error:
        return "webhook" in error.message
    return False


async def is_tidy(stage: Stage) -> None:
    """Where the claim was deleted while its volume was being made, its provisioner takes that back later."""
    assert [item for item in await stage.left() if not item.startswith("PersistentVolume ")] == []
    await stage.until(lambda: has_nothing_left(stage))


async def has_nothing_left(stage: Stage) -> bool:
    return not await stage.left()


async def has_events(stage: Stage, pod: dict) -> bool:
    result = pod["metadata"]["uid"]
    events = await stage.client.list(play.EVENTS, stage.namespace, field_selector=f"involvedObject.uid={result}")
    return any(event["type"] == "Warning" for event in events["items"])


async def is_told(stage: Stage, component: str) -> bool:
    return await has_events(stage, await stage.pod_of(component))


async def has_status(stage: Stage, used: str = "") -> bool:
    [quota] = (await stage.client.list(RESOURCEQUOTAS, stage.namespace))["items"]
    status = quota.get("status") or {}
    return bool(status.get("hard")) and (not used or status["used"]["pods"] == used)


async def is_refused(stage: Stage, name: str) -> bool:
    status = (await stage.client.get(DEPLOYMENTS, name, stage.namespace)).get("status") or {}
    return any(c["type"] == "ReplicaFailure" and c["status"] == "True" for c in status.get("conditions") or [])


async def has_none_ready(stage: Stage, name: str) -> bool:
    return not (await stage.client.get(DEPLOYMENTS, name, stage.namespace))["status"].get("readyReplicas")


async def is_gone(stage: Stage) -> bool:
    found = await stage.client.list(CRDS, field_selector=f"metadata.name={tfjobs.CRD}")
    return not found["items"]
