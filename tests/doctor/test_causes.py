"""The words of Kubernetes, as its parts write them, and the cause that each becomes. Pure functions."""

from datetime import UTC, datetime, timedelta

import pytest

from kf_spawner.doctor import api, clock, nodes, probe, quota, refusals, sandboxes, storage, tfjobs
from kf_spawner.doctor.pods import trouble
from kf_spawner.doctor.probe import ProbeResult

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod(*, age: float = 10, node: str | None = "n1", **status) -> dict:
    meta = {"name": "hub-1", "namespace": "kf", "uid": "u", "creationTimestamp": at(-age)}
    spec = {"containers": [{"name": "hub", "image": "hub:1"}], **({"nodeName": node} if node else {})}
    return {"metadata": meta, "spec": spec, "status": {"phase": "Pending", **status}}


def events(*pairs: tuple[str, str]) -> list[dict]:
    return [
        {"reason": reason, "message": message, "lastTimestamp": at(number)}
        for number, (reason, message) in enumerate(pairs)
    ]


def container(state: dict, **more) -> dict:
    return {"name": "hub", "image": "hub:1", "restartCount": 0, "state": state, **more}


SANDBOX = "Failed to create pod sandbox: rpc error: code = Unknown desc = "


@pytest.mark.parametrize(
    ("message", "check", "words"),
    [
        (
            SANDBOX
            + 'failed to set up sandbox container "5964" network for pod "x": networkPlugin cni failed to set up '
            'pod "x_ns" network: stat /var/lib/calico/nodename: no such file or directory',
            "network",
            "the network plugin calico is broken on node n1",
        ),
        (
            SANDBOX + 'failed to setup network for sandbox "9": plugin type="flannel" failed (add): '
            "loadFlannelSubnetEnv failed: open /run/flannel/subnet.env: no such file or directory",
            "network",
            "the network plugin flannel is broken",
        ),
        (
            SANDBOX
            + 'failed to setup network for sandbox "5": failed to find plugin "loopback" in path [/opt/cni/bin]',
            "network",
            "the network plugin is broken",
        ),
        (
            SANDBOX
            + 'failed to setup network for sandbox "7": plugin type="bridge" failed (add): failed to allocate for '
            "range 0: no IP addresses available in range set: 10.9.0.1-10.9.0.254",
            "network",
            "none left on node n1",
        ),
        (
            SANDBOX + 'failed to get sandbox image "registry.k8s.io/pause:3.10": failed to pull image: i/o timeout',
            "images",
            "cannot pull the pause image",
        ),
        (SANDBOX + "OCI runtime create failed: runc did not terminate successfully", "pod", "the container runtime"),
    ],
)
def test_a_sandbox_that_is_not_made(message, check, words):
    found = sandboxes.stuck(pod(), events(("Scheduled", "assigned"), ("FailedCreatePodSandBox", message)))
    assert found
    assert (found.check, words in found.cause) == (check, True), found
    assert found.message == message


def test_a_node_whose_network_is_not_ready():
    message = (
        "network is not ready: container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
    )
    found = sandboxes.stuck(pod(), events(("NetworkNotReady", message)))
    assert found
    assert "node n1 has no network plugin" in found.cause


def test_of_two_ways_to_say_that_a_mount_failed_the_one_that_names_the_cause():
    found = sandboxes.stuck(
        pod(),
        events(
            ("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "hub-config" not found'),
            ("FailedMount", "Unable to attach or mount volumes: unmounted volumes=[c]: timed out"),
        ),
    )
    assert found
    assert "the ConfigMap hub-config" in found.cause


def test_what_failed_before_the_containers_were_made_is_over():
    happened = events(("FailedCreatePodSandBox", SANDBOX + "cni"), ("FailedMount", "x"), ("Pulling", "Pulling image"))
    assert sandboxes.stuck(pod(), happened) is None
    assert trouble(pod(), happened, now=NOW) is None


@pytest.mark.parametrize(
    ("reason", "message", "words"),
    [
        ("InvalidImageName", 'couldn\'t parse image name "Hub:1"', "not a valid name of an image"),
        ("ErrImageNeverPull", "not present with pull policy of Never", "may not be pulled"),
        (
            "ErrImagePull",
            "pull access denied, repository does not exist or may require authorization",
            "wants a login",
        ),
        ("ImagePullBackOff", 'Back-off pulling image "hub:1": ErrImagePull: hub:1: not found', "has no such image"),
        (
            "ErrImagePull",
            "dial tcp: lookup registry.example on 10.0.0.1:53: no such host",
            "does not reach the registry",
        ),
        ("ErrImagePull", "write /var/lib/containerd/x: no space left on device", "disk is full"),
        ("ErrImagePull", "toomanyrequests: rate limit", "cannot be pulled."),
    ],
)
def test_an_image_that_is_not_had(reason, message, words):
    status = {"containerStatuses": [container({"waiting": {"reason": reason, "message": message}})]}
    found = trouble(pod(**status), [], now=NOW)
    assert found
    assert found.check == "images"
    assert words in found.cause


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("0/3 nodes are available: 3 Insufficient memory, 1 Insufficient cpu.", "enough free memory, cpu"),
        ("0/2 nodes are available: 2 node(s) had untolerated taint {gpu: true}.", "have taints (gpu)"),
        ('0/1 nodes are available: persistentvolumeclaim "hub-db" not found.', "its claim hub-db does not exist"),
        ("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.", "its claim has no volume"),
        ("0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.", "finds no node."),
    ],
)
def test_a_pod_that_finds_no_node(message, words):
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]
    found = trouble(pod(node=None, conditions=conditions), [], now=NOW)
    assert found
    assert words in found.cause


def test_waiting_for_a_provisioner_does_not_hide_its_failure():
    claim = {"metadata": {"name": "c", "namespace": "kf"}, "spec": {"storageClassName": "ssd"}, "status": {}}
    waits = ("ExternalProvisioning", "waiting for a volume to be created")
    failed = ("ProvisioningFailed", "no space left in pool ssd")
    for order in ((failed, waits), (waits, failed)):
        assert (
            "cannot be given a volume. Kubernetes says: no space left" in storage.unbound(claim, events(*order)).cause
        )
    assert "its provisioner, which does not act" in storage.unbound(claim, events(waits)).cause


def test_a_pod_may_take_its_time_but_not_for_ever():
    running = {"phase": "Running", "containerStatuses": [container({"running": {}})]}
    unhealthy = events(("Unhealthy", "Readiness probe failed: connection refused"))
    assert trouble(pod(age=60, **running), unhealthy, now=NOW) is None
    late = trouble(pod(age=600, **running), unhealthy, now=NOW)
    assert late
    assert "its probe fails" in late.cause
    silent = trouble(pod(age=600), [], now=NOW)
    assert silent
    assert "the node says nothing" in silent.cause
    unscheduled = trouble(pod(age=600, node=None), [], now=NOW)
    assert unscheduled
    assert "no scheduler says why" in unscheduled.cause


def test_a_pod_that_used_too_much_memory():
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    found = trouble(pod(containerStatuses=[container(waiting, lastState=ended, restartCount=2)]), [], now=NOW)
    assert found
    assert "used more memory than its limit" in found.cause
    assert found.command.endswith("--previous")


def test_an_image_that_takes_long_is_not_missing():
    asked = probe.of_image(probe.Terms("kf", "kf-doctor-1"), number=0, image="large:1")
    made = {**asked.pod, "metadata": {**asked.pod["metadata"], "uid": "u"}}
    found = probe.too_late(asked, ProbeResult(made, None, [], NOW), timeout=120)
    assert (found.check, found.severity) == ("images", "warning")
    assert "The image large:1 has not been pulled within 120 seconds" in found.cause


def test_a_pod_that_starts_anew_has_not_crashed():
    ended = {"terminated": {"exitCode": 255, "reason": "Unknown"}}
    initialised = container({"terminated": {"exitCode": 0}})
    waiting = container({"waiting": {"reason": "ContainerCreating"}}, lastState=ended, restartCount=1)
    status = {"initContainerStatuses": [initialised], "containerStatuses": [waiting]}
    assert trouble(pod(**status), [], now=NOW) is None


def test_a_pod_that_does_not_end():
    leaving = pod()
    leaving["metadata"] |= {"deletionTimestamp": at(-30), "finalizers": ["example.com/hold"]}
    assert trouble(leaving, [], now=NOW) is None
    leaving["metadata"]["deletionTimestamp"] = at(-300)
    found = trouble(leaving, [], now=NOW)
    assert found
    assert "held by example.com/hold" in found.cause


@pytest.mark.parametrize(
    ("message", "words", "remedy"),
    [
        (
            'pods "x" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2',
            "small",
            "Raise",
        ),
        (
            'pods "x" is forbidden: failed quota: q: must specify limits.cpu for: hub',
            "limits.cpu for: hub",
            "LimitRange",
        ),
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
            "level",
            "=baseline",
        ),
        ('pods "x" is forbidden: violates PodSecurity "baseline:latest": host namespaces', "level", "=privileged"),
        (
            'Internal error occurred: failed calling webhook "v.kyverno.svc": context deadline exceeded',
            "v.kyverno.svc does not",
            "Start the webhook",
        ),
        ('admission webhook "gatekeeper.sh" denied the request: no latest tag', "by the admission webhook", "rule"),
        (
            'pods "x" is forbidden: error looking up service account kf/hub: serviceaccount "hub" not found',
            "hub",
            "chart",
        ),
        ('pods "x" is forbidden: because', "refused by the API server", "message"),
    ],
)
def test_a_pod_that_may_not_be_made(message, words, remedy):
    found = refusals.creation_trouble(message, what="The pods of Deployment kf/hub", namespace="kf")
    assert found.cause.startswith("The pods of Deployment kf/hub are refused")
    assert words in found.cause
    assert remedy in found.remedy


@pytest.mark.parametrize(("said", "count"), [("v1.37.2", 0), ("v1.30.0+k3s1", 0), ("v1.29.9-gke.1", 1), ("", 1)])
def test_versions(said, count):
    assert len(api.version({"gitVersion": said})) == count


def test_clocks():
    assert clock.ours(20) == []
    assert "120 seconds behind" in clock.ours(-120)[0].cause
    fields = [
        {"time": at(0), "fieldsV1": {"f:spec": {"f:renewTime": {}}}},
        {"time": at(600), "fieldsV1": {"f:status": {}}},
    ]
    leases = [
        {"metadata": {"name": name, "managedFields": fields}, "spec": {"renewTime": at(skew)}}
        for name, skew in (("right", 1), ("fast", 90))
    ]
    [found] = clock.of_nodes(leases)
    assert "The clock of node fast is 90 seconds ahead of" in found.cause


def node(name: str, *, ready: str = "True", message: str = "", **spec) -> dict:
    conditions = [{"type": "Ready", "status": ready, "message": message}]
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": conditions}}


def test_nodes():
    assert [f.severity for f in nodes.nodes([])] == ["error"]
    assert nodes.nodes([node("a")]) == []
    [lost] = nodes.nodes([node("a"), node("b", ready="Unknown", message="Kubelet stopped posting node status.")])
    assert (lost.severity, "Node b does not report" in lost.cause) == ("warning", True)
    [closed] = nodes.nodes([node("a", unschedulable=True), node("b", taints=[{"key": "k", "effect": "NoSchedule"}])])
    assert (closed.severity, "a is cordoned; b has the taint k" in closed.cause) == ("error", True)
    taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
    tainted = [node("a", taints=[taint])]
    for let_in in ({"key": "k", "value": "v"}, {"key": "k", "operator": "Exists"}, {"operator": "Exists"}):
        assert nodes.nodes(tainted, tolerations=[let_in]) == []
    for other in ({"key": "k", "value": "w"}, {"key": "l", "operator": "Exists"}, {**taint, "effect": "NoExecute"}):
        assert len(nodes.nodes(tainted, tolerations=[other])) == 1
    full = node("a")
    full["status"]["conditions"].append({"type": "DiskPressure", "status": "True", "message": "low"})
    [pressed] = nodes.nodes([full])
    assert (pressed.severity, "runs out of disk space" in pressed.cause) == ("warning", True)


def test_quotas_of_users_are_warnings_and_others_are_not_ours():
    def of(namespace: str, used: str) -> dict:
        status = {"hard": {"requests.memory": "1Gi"}, "used": {"requests.memory": used}}
        return {"metadata": {"name": "q", "namespace": namespace}, "status": status}

    quotas = [of("kf", "1023Mi"), of("kf-ada", "1024Mi"), of("other", "2Gi")]
    [found] = quota.full(quotas, platform="kf", users={"kf-ada"})
    assert (found.severity, "namespace kf-ada is full (requests.memory 1024Mi of 1Gi used)" in found.cause) == (
        "warning",
        True,
    )


def test_jobs_that_nobody_looks_at():
    def job(name: str, *, age: float = 300, managed_by: str | None = None, **status) -> dict:
        meta = {"name": name, "namespace": "kf-ada", "creationTimestamp": at(-age)}
        return {"metadata": meta, "spec": {"runPolicy": {"managedBy": managed_by}}, "status": status}

    jobs = [
        job("seen", conditions=[{"type": "Created"}]),
        job("new", age=5),
        job("elsewhere", managed_by="kueue.x-k8s.io/multikueue"),
    ]
    assert tfjobs.operator([], None, jobs, platform=False, now=NOW) == []
    [found] = tfjobs.operator([], None, [*jobs, job("mnist")], platform=False, now=NOW)
    assert "kf-ada/mnist" in found.cause


def test_a_definition_that_says_more_than_ours_is_newer_and_one_of_another_program_is_named():
    ours = {"spec": {"group": "g", "versions": [{"name": "v1", "served": True}]}}
    newer = {
        "metadata": {},
        "spec": {"group": "g", "x": 1, "versions": [{"name": "v2"}, {"name": "v1", "served": True}]},
    }
    assert tfjobs.crd(newer, ours=ours, platform=True) == []
    other = {"metadata": {}, "spec": {"group": "g", "versions": [{"name": "v1", "served": False}]}}
    [found] = tfjobs.crd(other, ours=ours, platform=False)
    assert "made by another program" in found.cause
    assert "Kubeflow's" in found.remedy
    assert "spec.versions[v1].served" in found.cause
