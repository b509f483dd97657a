"""Each reason why the platform's pods do not run is named, with what to do."""

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import DEPLOYMENTS, NAMESPACES, NODES, PODS, RESOURCEQUOTAS, STATEFULSETS
from tests.fixtures.ports import free_port

from . import stage as play
from .expectations import NO_IMAGE, has_events, has_status, is_tidy, is_waiting, only
from .stage import Stage

WEBHOOKS = Resource(
    "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", False
)


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
    assert "the quota cpu requires each container to set limits.cpu" in finding.cause


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


async def is_told(stage: Stage, component: str) -> bool:
    return await has_events(stage, await stage.pod_of(component))


async def is_refused(stage: Stage, name: str) -> bool:
    status = (await stage.client.get(DEPLOYMENTS, name, stage.namespace)).get("status") or {}
    return any(c["type"] == "ReplicaFailure" and c["status"] == "True" for c in status.get("conditions") or [])
