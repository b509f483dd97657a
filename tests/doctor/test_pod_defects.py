"""Each reason why the platform's pods do not run is named, with what to do."""

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS, RESOURCEQUOTAS, STATEFULSETS
from tests.fixtures.ports import free_port

from . import fake_cluster
from .expectations import NO_IMAGE, has_events, has_status, is_tidy, is_waiting, only
from .fake_cluster import FakeCluster

WEBHOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False
)


async def test_a_missing_image(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.keeps_waiting("ErrImagePull", NO_IMAGE)
    finding = only(await cluster.run_doctor(), "images")
    assert fake_cluster.IMAGE in finding.cause
    assert finding.command == "kubectl describe node fake-node"
    assert "the registry has no such image" in finding.cause


async def test_missing_images_of_several(cluster: FakeCluster):
    async def lacks(cluster: FakeCluster, pod: dict) -> None:
        missing = pod["spec"]["containers"][0]["image"].startswith("absent:")
        await (fake_cluster.keeps_waiting("ImagePullBackOff", NO_IMAGE) if missing else fake_cluster.run_pod)(
            cluster, pod
        )

    cluster.on_pod = lacks
    report = await cluster.run_doctor(images=("absent:1", "there:1", "absent:2"))
    assert [finding.check for finding in report.findings] == ["images", "images"]
    assert ["absent:1" in report.findings[0].cause, "absent:2" in report.findings[1].cause] == [True, True]


async def test_nodes_for_users_alone(cluster: FakeCluster):
    taint = {"key": "hub.jupyter.org/dedicated", "value": "user", "effect": "NoSchedule"}
    await cluster.client.patch(NODES, fake_cluster.NODE, {"spec": {"taints": [taint]}})
    try:
        finding = only(await cluster.run_doctor(), "nodes")
        report = await cluster.run_doctor(tolerations=({**taint, "operator": "Equal"},))
    finally:
        await cluster.client.patch(NODES, fake_cluster.NODE, {"spec": {"taints": []}})
    assert "fake-node has the taint hub.jupyter.org/dedicated" in finding.cause
    assert (report.findings, report.passed_over) == ([], {})


async def test_a_missing_configmap(cluster: FakeCluster):
    message = 'MountVolume.SetUp failed for volume "config" : configmap "hub-config" not found'
    cluster.on_pod = fake_cluster.fails_with_event("FailedMount", message, of=fake_cluster.is_component("hub"))
    await cluster.install_platform(but="hub")
    await cluster.until(lambda: is_told(cluster, "hub"))
    finding = only(await cluster.run_doctor(skip={"pod"}), "platform")
    assert "the ConfigMap hub-config that it mounts does not exist" in finding.cause


async def test_a_missing_secret_in_the_environment(cluster: FakeCluster):
    cluster.on_pod = fake_cluster.keeps_waiting(
        "CreateContainerConfigError", 'secret "proxy-token" not found', of=fake_cluster.is_component("hub")
    )
    await cluster.install_platform(but="hub")
    await cluster.pod_of("hub", is_waiting)
    finding = only(await cluster.run_doctor(skip={"pod"}), "platform")
    assert "the Secret proxy-token that its environment reads does not exist" in finding.cause


async def test_a_program_that_crashes(cluster: FakeCluster):
    last = {"exitCode": 1, "reason": "Error", "message": "no such table: users"}
    cluster.on_pod = fake_cluster.keeps_waiting(
        "CrashLoopBackOff", "back-off", of=fake_cluster.is_component("hub"), restarts=3, last=last
    )
    await cluster.install_platform(but="hub")
    await cluster.pod_of("hub", is_waiting)
    finding = only(await cluster.run_doctor(skip={"pod"}), "platform")
    assert "ended with exit code 1" in finding.cause
    assert "no such table: users" in finding.cause
    assert finding.command.endswith("--container hub --previous")


async def test_a_full_quota(cluster: FakeCluster):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": {"pods": "2"}},
    }
    await cluster.client.create(RESOURCEQUOTAS, quota, cluster.namespace)
    await cluster.until(lambda: has_status(cluster))
    await cluster.install_platform()
    await cluster.create_deployment("dashboard")
    await cluster.until(lambda: is_refused(cluster, "dashboard"))
    await cluster.until(lambda: has_status(cluster, used="2"))
    report = await cluster.run_doctor(skip={"pod"})
    assert [finding.check for finding in report.findings] == ["quota", "platform"]
    assert "pods 2 of 2 used" in report.findings[0].cause
    assert "The pods of Deployment" in report.findings[1].cause
    assert "the quota small of namespace" in report.findings[1].cause


async def test_pod_security_refuses(cluster: FakeCluster):
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    await cluster.client.patch(NAMESPACES, cluster.namespace, {"metadata": {"labels": level}})
    await cluster.create_deployment("hub")
    await cluster.until(lambda: is_refused(cluster, "hub"))
    finding = only(await cluster.run_doctor(skip={"pod", "operator"}), "platform")
    assert "the Pod Security level of namespace" in finding.cause
    assert "runAsNonRoot" in finding.cause
    assert "enforce=baseline" in finding.remedy


async def test_probes_are_allowed_where_little_is(cluster: FakeCluster):
    """A quota that wants every container to name its resources, and the strictest Pod Security level."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    await cluster.client.patch(NAMESPACES, cluster.namespace, {"metadata": {"labels": level}})
    hard = {"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "4", "limits.memory": "4Gi"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}, "spec": {"hard": hard}}
    await cluster.client.create(RESOURCEQUOTAS, quota, cluster.namespace)
    await cluster.until(lambda: has_status(cluster))
    assert (await cluster.run_doctor(place=cluster.namespace)).findings == []


async def test_a_quota_in_the_way_of_probes(cluster: FakeCluster):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"pods": "0"}},
    }
    await cluster.client.create(RESOURCEQUOTAS, quota, cluster.namespace)
    await cluster.until(lambda: has_status(cluster))
    report = await cluster.run_doctor(place=cluster.namespace, skip={"quota"})
    assert "the quota none of namespace" in only(report, "pod").cause
    await is_tidy(cluster)


async def test_a_statefulset_whose_pods_are_refused(cluster: FakeCluster):
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "cpu"},
        "spec": {"hard": {"limits.cpu": "1"}},
    }
    await cluster.client.create(RESOURCEQUOTAS, quota, cluster.namespace)
    await cluster.until(lambda: has_status(cluster))
    labels = {"app.kubernetes.io/name": "kf-spawner", "app.kubernetes.io/component": "hub"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "hub", "image": fake_cluster.IMAGE}]},
    }
    spec = {"serviceName": "hub", "selector": {"matchLabels": labels}, "template": template}
    made = await cluster.client.create(
        STATEFULSETS,
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "hub", "labels": labels},
            "spec": spec,
        },
        cluster.namespace,
    )
    await cluster.until(lambda: has_events(cluster, made))
    finding = only(await cluster.run_doctor(skip={"pod", "operator"}), "platform")
    assert "the quota cpu requires each container to set limits.cpu" in finding.cause


async def test_a_webhook_that_does_not_answer(cluster: FakeCluster):
    webhook = {
        "name": "rules.fake.example",
        "clientConfig": {"url": f"https://127.0.0.1:{free_port()}/"},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
    }
    body = {"apiVersion": WEBHOOKS.api_version, "kind": WEBHOOKS.kind, "metadata": {"name": cluster.namespace}}
    await cluster.client.create(WEBHOOKS, {**body, "webhooks": [webhook]})
    try:
        await cluster.until(lambda: is_asked(cluster))
        finding = only(await cluster.run_doctor(place=cluster.namespace), "pod")
    finally:
        await cluster.client.delete(WEBHOOKS, cluster.namespace)
    assert "the admission webhook rules.fake.example does not answer" in finding.cause


async def is_asked(cluster: FakeCluster) -> bool:
    """Whether the API server knows of the webhook by now; nothing is made."""
    pod = {"metadata": {"name": "ask"}, "spec": {"containers": [{"name": "ask", "image": fake_cluster.IMAGE}]}}
    try:
        await cluster.client.request(
            "POST",
            path_of(PODS, cluster.namespace),
            params={"dryRun": "All"},
            body={"apiVersion": "v1", "kind": "Pod", **pod},
        )
    except ApiError as error:
        return "webhook" in error.message
    return False


async def is_told(cluster: FakeCluster, component: str) -> bool:
    return await has_events(cluster, await cluster.pod_of(component))


async def is_refused(cluster: FakeCluster, name: str) -> bool:
    status = (await cluster.client.get(DEPLOYMENTS, name, cluster.namespace)).get("status") or {}
    return any(c["type"] == "ReplicaFailure" and c["status"] == "True" for c in status.get("conditions") or [])
