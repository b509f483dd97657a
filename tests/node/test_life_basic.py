"""A pod's life on the real node beside the real API server: phases, conditions, exits, restarts, order."""

import asyncio

import pytest

from kf_spawner.kube import Invalid, NotFound
from kf_spawner.kube.resources import CONFIGMAPS, PODS, SECRETS
from tests.fixtures.control_plane import ControlPlane

from .conftest import IMAGE, Cluster, condition, container, ended, sh, waits

SUICIDE = "exec python -c 'import os; os.kill(os.getpid(), "  # Kubernetes makes one $ of $$ in a command
OUTCOMES = {
    # name: (script, restart policy, phase, exit code, reason)
    "done": ("exit 0", "Never", "Succeeded", 0, "Completed"),
    "failed": ("exit 3", "Never", "Failed", 3, "Error"),
    "killed": (SUICIDE + "9)'", "Never", "Failed", 137, "Error"),
    "terminated": (SUICIDE + "15)'", "Never", "Failed", 143, "Error"),
    "segfault": (SUICIDE + "11)'", "Never", "Failed", 139, "Error"),
    "done-on-failure": ("exit 0", "OnFailure", "Succeeded", 0, "Completed"),
    "large-code": ("exit 255", "Never", "Failed", 255, "Error"),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_outcome(cluster: Cluster, name: str) -> None:
    script, policy, phase, code, reason = OUTCOMES[name]
    pod = await cluster.phase(await cluster.pod(sh(script), restartPolicy=policy), phase)
    assert ended(pod)["exitCode"] == code
    assert ended(pod)["reason"] == reason
    assert ended(pod)["startedAt"] <= ended(pod)["finishedAt"]
    assert container(pod)["restartCount"] == 0
    assert container(pod)["ready"] is False
    assert condition(pod, "Ready") == condition(pod, "ContainersReady") == "False"
    assert condition(pod, "PodScheduled") == "True"


async def test_running_pod_has_a_kubelets_status(cluster: Cluster) -> None:
    pod = await cluster.ready(await cluster.pod(sh("echo hello; echo oops >&2; sleep 100")))
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["hostIP"] == "127.0.0.1"
    assert status["podIP"].startswith("127.")
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    kinds = {"PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"}
    assert {entry["type"] for entry in status["conditions"] if entry["status"] == "True"} == kinds
    about = container(pod)
    assert about["ready"] is about["started"] is True
    assert about["containerID"].startswith("kf-spawner://")
    assert about["imageID"].startswith("plain@sha256:")
    assert list(about["state"]) == ["running"]
    assert [event[1] for event in await cluster.events(pod)][-3:] == ["Pulled", "Created", "Started"]
    assert sorted((await cluster.logs(pod)).splitlines()) == ["hello", "oops"]


async def test_two_pods_have_two_addresses(cluster: Cluster) -> None:
    pods = [await cluster.pod(sh("sleep 100")) for _ in range(2)]
    first, second = [await cluster.ready(pod) for pod in pods]
    assert first["status"]["podIP"] != second["status"]["podIP"]


async def test_every_container_counts(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("exit 0"), sh("exit 4"), restartPolicy="Never")
    pod = await cluster.phase(pod, "Failed")
    assert (ended(pod, "c0")["exitCode"], ended(pod, "c1")["exitCode"]) == (0, 4)


async def test_pod_runs_while_one_container_does(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("exit 0"), sh("sleep 100"), restartPolicy="Never")
    # Until the second has started as well, the pod is Pending, as a kubelet has it.
    pod = await cluster.until(pod, lambda now: ended(now) and "running" in container(now, "c1")["state"])
    assert pod["status"]["phase"] == "Running"
    assert condition(pod, "Ready") == "False"


async def test_image_says_command_and_pod_adds_arguments(cluster: Cluster) -> None:
    plain = await cluster.pod({"name": "c0"}, restartPolicy="Never")
    await cluster.phase(plain, "Succeeded")
    assert await cluster.logs(plain) == "the image says hello\n"


async def test_crash_loop_goes_through_its_states(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("exit 7"))
    pod = await cluster.until(pod, lambda now: waits(now).get("reason") == "CrashLoopBackOff")
    about = container(pod)
    # The first end is followed by a start at once, the second by a pause of backoff_first.
    assert about["restartCount"] == 1
    assert about["lastState"]["terminated"]["exitCode"] == 7
    assert waits(pod)["message"].startswith("back-off 1s restarting failed container=c0 pod=")
    assert pod["status"]["phase"] == "Running"
    await cluster.event(pod, "BackOff", "Back-off restarting failed container c0 in pod")
    pod = await cluster.until(pod, lambda now: "back-off 2s" in waits(now).get("message", ""))
    assert container(pod)["restartCount"] == 2


async def test_on_failure_restarts_until_it_succeeds(cluster: Cluster) -> None:
    script = "if [ -e /data/seen ]; then exit 0; fi; touch /data/seen; exit 1"
    pod = await cluster.pod(
        {**sh(script), "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        restartPolicy="OnFailure",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    pod = await cluster.phase(pod, "Succeeded")
    assert container(pod)["restartCount"] == 1
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 1


@pytest.mark.parametrize(("code", "again"), [(42, True), (1, False)])
async def test_exit_codes_that_a_rule_restarts(cluster: Cluster, code: int, again: bool) -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
    pod = await cluster.pod(
        {**sh(f"exit {code}"), "restartPolicy": "Never", "restartPolicyRules": [rule]}, restartPolicy="Never"
    )
    if again:
        await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 1)
    else:
        await cluster.phase(pod, "Failed")


async def test_always_restarts_after_success_too(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("exit 0"))
    pod = await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 1)
    assert container(pod)["lastState"]["terminated"]["reason"] == "Completed"
    assert pod["status"]["phase"] == "Running"


async def test_command_that_is_not_there(cluster: Cluster) -> None:
    pod = await cluster.pod({"command": ["no-such-program"]}, restartPolicy="Never")
    pod = await cluster.phase(pod, "Failed")
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (128, "StartError")
    assert 'exec: "no-such-program": file not found' in ended(pod)["message"]
    await cluster.event(pod, "Failed", "no-such-program")


async def test_command_that_may_not_run(cluster: Cluster) -> None:
    pod = await cluster.phase(await cluster.pod({"command": ["/etc/passwd"]}, restartPolicy="Never"), "Failed")
    assert "Permission denied" in ended(pod)["message"]


async def test_missing_config_map_holds_the_container_until_it_comes(cluster: Cluster) -> None:
    name = "late-settings"
    reference = {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": name, "key": "colour"}}}
    pod = await cluster.pod({**sh("echo $COLOUR"), "env": [reference]}, restartPolicy="Never")
    pod = await cluster.until(pod, lambda now: waits(now).get("reason") == "CreateContainerConfigError")
    assert name in waits(pod)["message"]
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"colour": "green"}}
    await cluster.client.create(CONFIGMAPS, body, cluster.namespace)
    await cluster.phase(pod, "Succeeded")
    assert await cluster.logs(pod) == "green\n"


async def test_missing_volume_source_is_an_event_and_then_mounted(cluster: Cluster) -> None:
    pod = await cluster.pod(
        {**sh("cat /secret/key"), "volumeMounts": [{"name": "s", "mountPath": "/secret"}]},
        restartPolicy="Never",
        volumes=[{"name": "s", "secret": {"secretName": "late-secret"}}],
    )
    await cluster.event(pod, "FailedMount", "late-secret")
    assert waits(await cluster.get(pod))["reason"] == "ContainerCreating"
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late-secret"}, "stringData": {"key": "42\n"}}
    await cluster.client.create(SECRETS, body, cluster.namespace)
    await cluster.phase(pod, "Succeeded")
    assert await cluster.logs(pod) == "42\n"


IMAGES = {
    "unknown": ("kf-spawner/nothing:0.1.0", "IfNotPresent", "ImagePullBackOff", "is not in this node's catalogue"),
    "other-version": ("kf-spawner/plain:9.9", "IfNotPresent", "ImagePullBackOff", "9.9"),
    "bad-name": ("NOT A NAME", "IfNotPresent", "InvalidImageName", "couldn't parse image reference"),
}


@pytest.mark.parametrize("name", IMAGES)
async def test_image_that_cannot_be_had(cluster: Cluster, name: str) -> None:
    image, policy, reason, part = IMAGES[name]
    pod = await cluster.pod({"image": image, "imagePullPolicy": policy})
    pod = await cluster.until(pod, lambda now: waits(now).get("reason") == reason)
    assert part in waits(pod)["message"]
    assert pod["status"]["phase"] == "Pending"
    await cluster.event(pod, "Failed", "Error: ")


async def test_image_is_not_pulled_with_policy_never(cluster: Cluster) -> None:
    folder = cluster.node.home / "images" / "plain"
    assert folder.exists()
    pod = await cluster.pod({**sh("exit 0"), "imagePullPolicy": "Never"}, restartPolicy="Never")
    await cluster.phase(pod, "Succeeded")  # the session's node has it by now
    assert f'Container image "{IMAGE}" already present on machine' in [
        event[2] for event in await cluster.events(pod)
    ]


MESSAGES = {
    "file": ("echo -n it broke > $LOG; exit 1", "File", "it broke"),
    "success-too": ("echo -n all well > $LOG", "File", "all well"),
    "long": ("head -c 9000 /dev/zero | tr '\\0' x > $LOG; exit 1", "File", "x" * 4096),
    "from-logs": ("echo a last word; exit 1", "FallbackToLogsOnError", "a last word"),
    "no-logs-on-success": ("echo a last word", "FallbackToLogsOnError", ""),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_termination_message(cluster: Cluster, name: str) -> None:
    script, policy, message = MESSAGES[name]
    env = [{"name": "LOG", "value": "/dev/termination-log"}]
    pod = await cluster.pod({**sh(script), "env": env, "terminationMessagePolicy": policy}, restartPolicy="Never")
    pod = await cluster.until(pod, lambda now: now["status"].get("phase") in ("Succeeded", "Failed"))
    assert ended(pod).get("message", "") == message


async def test_what_a_container_leaves_behind_is_killed(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("(setsid sleep 300 &) ; setsid sleep 301 & exit 0"), restartPolicy="Never")
    pod = await cluster.phase(pod, "Succeeded")
    assert not cluster.node.container_processes(pod["metadata"]["uid"])


async def test_pods_conditions_keep_their_moment(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("exit 1"))
    first = await cluster.until(pod, lambda now: condition(now, "Initialized") == "True")
    second = await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 2)

    def moment(pod: dict) -> str:
        entries = [entry for entry in pod["status"]["conditions"] if entry["type"] == "Initialized"]
        return entries[0]["lastTransitionTime"]

    assert moment(first) == moment(second)


async def test_readiness_gate_holds_ready_back(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("sleep 100"), readinessGates=[{"conditionType": "example.org/open"}])
    pod = await cluster.until(pod, lambda now: condition(now, "ContainersReady") == "True")
    assert condition(pod, "Ready") == "False"
    gate = {"status": {"conditions": [{"type": "example.org/open", "status": "True"}]}}
    name = pod["metadata"]["name"]
    await cluster.client.patch(PODS, name, gate, cluster.namespace, subresource="status", kind="strategic")
    pod = await cluster.ready(pod)
    assert condition(pod, "example.org/open") == "True"


async def test_logs_of_a_container_that_waits(cluster: Cluster) -> None:
    pod = await cluster.pod({"image": "kf-spawner/nothing:0.1.0"})
    await cluster.until(pod, lambda now: waits(now).get("reason") == "ImagePullBackOff")
    with pytest.raises((Invalid, NotFound), match=r"waiting to start: .*ImagePull"):
        await cluster.logs(pod)


async def test_scheduler_finds_the_node_and_kubectl_reaches_the_container(
    cluster: Cluster, control_plane: ControlPlane
) -> None:
    pod = await cluster.pod(
        {**sh("echo out; sleep 100"), "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        nodeName=None,
        nodeSelector={"kubernetes.io/hostname": cluster.node.name},
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    await cluster.first_line(pod)
    name = ("-n", cluster.namespace, pod["metadata"]["name"])

    async def kubectl(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(control_plane.kubectl, *words)
        return done.returncode, done.stdout + done.stderr

    assert await kubectl("logs", *name) == (0, "out\n")
    assert await kubectl("exec", *name, "--", "sh", "-c", "echo in > /data/f; cat /data/f; exit 3") == (
        3,
        "in\ncommand terminated with exit code 3\n",
    )
    code, text = await kubectl("exec", *name, "--", "ls", "/data")
    assert (code, text) == (0, "f\n")
    code, text = await kubectl("describe", "pod", *name)
    assert "Successfully assigned" in text
    assert "Container started: c0" in text
