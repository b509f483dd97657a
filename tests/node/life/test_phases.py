"""Phases and conditions of a pod: what is said of it while it waits, runs and is over."""

import asyncio

import pytest

from kf_spawner.kube.resources import PODS
from tests.node.pods import DATA, Pods, about, condition, container, ended, sh, waits, with_data

OUTCOMES = {
    # name: (scripts of the containers, restart policy, phase)
    "done": (["exit 0"], "Never", "Succeeded"),
    "failed": (["exit 3"], "Never", "Failed"),
    "done-on-failure": (["exit 0"], "OnFailure", "Succeeded"),
    "all-done": (["exit 0", "sleep 0.2"], "Never", "Succeeded"),
    "one-failed": (["exit 0", "exit 4"], "Never", "Failed"),
    "first-failed": (["exit 4", "sleep 0.2"], "Never", "Failed"),
    "all-failed": (["exit 1", "exit 2"], "Never", "Failed"),
}


@pytest.mark.parametrize("name", OUTCOMES)
async def test_a_pod_is_over_when_its_containers_are(pods: Pods, name: str) -> None:
    scripts, policy, phase = OUTCOMES[name]
    pod = await pods.over(await pods.pod(*map(sh, scripts), restartPolicy=policy))
    assert pod["status"]["phase"] == phase
    for index in range(len(scripts)):
        assert ended(pod, f"c{index}")
        status = container(pod, f"c{index}")
        assert (status["restartCount"], status["ready"], status["started"]) == (0, False, False)


@pytest.mark.parametrize(("code", "reason"), [(0, "PodCompleted"), (1, "PodFailed")])
async def test_conditions_of_a_pod_that_is_over(pods: Pods, code: int, reason: str) -> None:
    pod = await pods.over(await pods.pod(sh(f"exit {code}"), restartPolicy="Never"))
    for kind in ("Ready", "ContainersReady"):
        entry = about(pod, kind)
        assert (entry["status"], entry["reason"]) == ("False", reason)
    assert condition(pod, "PodScheduled") == condition(pod, "Initialized") == "True"
    assert about(pod, "Initialized").get("reason") == (reason if code == 0 else None)


async def test_a_pod_that_is_over_has_no_sandbox_any_more(pods: Pods) -> None:
    pod = await pods.pod(sh("exit 0"), restartPolicy="Never")
    pod = await pods.until(
        pod,
        lambda now: (
            now["status"].get("phase") == "Succeeded" and condition(now, "PodReadyToStartContainers") == "False"
        ),
    )
    assert about(pod, "PodReadyToStartContainers")["reason"] == "PodSandboxNotReady"
    assert about(pod, "PodReadyToStartContainers")["message"] == "pod sandbox is not ready"


async def test_a_running_pod_says_where_and_what_it_is(pods: Pods) -> None:
    pod = await pods.ready(await pods.pod(sh("sleep 100")))
    status = pod["status"]
    assert status["phase"] == "Running"
    assert status["podIP"]
    assert status["podIPs"] == [{"ip": status["podIP"]}]
    assert status["hostIPs"] == [{"ip": status["hostIP"]}]
    assert status["qosClass"] == "BestEffort"
    assert status["observedGeneration"] == pod["metadata"]["generation"]
    assert status["startTime"] >= pod["metadata"]["creationTimestamp"]
    kinds = {"PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"}
    assert {entry["type"] for entry in status["conditions"] if entry["status"] == "True"} == kinds


async def test_a_running_container_says_what_it_is(pods: Pods) -> None:
    pod = await pods.ready(await pods.pod(sh("sleep 100")))
    status = container(pod)
    assert status["ready"] is status["started"] is True
    assert status["restartCount"] == 0
    assert status["imageID"]
    assert "://" in status["containerID"]
    assert list(status["state"]) == ["running"]
    assert status["lastState"] == {}
    assert set(status["state"]["running"]) == {"startedAt"}


async def test_two_pods_have_two_addresses(pods: Pods) -> None:
    first, second = [await pods.ready(pod) for pod in [await pods.pod(sh("sleep 100")) for _ in range(2)]]
    assert first["status"]["podIP"] != second["status"]["podIP"]


async def test_a_pod_is_pending_until_all_its_containers_have_started(pods: Pods) -> None:
    missing = {"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "nobody", "key": "k"}}}]}
    pod = await pods.pod(sh("sleep 100"), sh("sleep 100", **missing))
    pod = await pods.until(
        pod,
        lambda now: (
            "running" in container(now)["state"] and waits(now, "c1").get("reason") == "CreateContainerConfigError"
        ),
    )
    assert pod["status"]["phase"] == "Pending"
    assert about(pod, "Ready")["message"] == "containers with unready status: [c1]"
    assert about(pod, "ContainersReady")["reason"] == about(pod, "Ready")["reason"] == "ContainersNotReady"
    assert condition(pod, "PodReadyToStartContainers") == "True"


async def test_a_pod_runs_while_one_of_its_containers_does(pods: Pods) -> None:
    pod = await pods.pod(sh("exit 0"), sh("sleep 100"), restartPolicy="Never")
    pod = await pods.until(pod, lambda now: ended(now) and "running" in container(now, "c1")["state"])
    assert pod["status"]["phase"] == "Running"
    assert about(pod, "Ready")["reason"] == "ContainersNotReady"
    assert about(pod, "Ready")["message"] == "containers with unready status: [c0]"


async def test_a_condition_keeps_the_moment_of_its_change(pods: Pods) -> None:
    pod = await pods.pod(sh("exit 1"))
    first = await pods.until(pod, lambda now: container(now)["state"] and condition(now, "Initialized") == "True")
    second = await pods.restarted(pod)
    for kind in ("Initialized", "PodScheduled"):
        assert about(first, kind)["lastTransitionTime"] == about(second, kind)["lastTransitionTime"]


async def test_a_readiness_gate_holds_ready_back(pods: Pods) -> None:
    kind = "example.org/open"
    pod = await pods.pod(sh("sleep 100"), readinessGates=[{"conditionType": kind}])
    pod = await pods.until(pod, lambda now: condition(now, "ContainersReady") == "True")
    assert (about(pod, "Ready")["status"], about(pod, "Ready")["reason"]) == ("False", "ReadinessGatesNotReady")
    assert about(pod, "Ready")["message"] == f'corresponding condition of pod readiness gate "{kind}" does not exist.'
    for status in ("False", "True"):
        patch = {"status": {"conditions": [{"type": kind, "status": status}]}}
        name = pod["metadata"]["name"]
        await pods.client.patch(PODS, name, patch, pods.namespace, subresource="status", kind="strategic")
        if status == "False":
            said = f'the status of pod readiness gate "{kind}" is not "True", but False'
            await pods.until(pod, lambda now, said=said: about(now, "Ready").get("message") == said)
    pod = await pods.ready(pod)
    assert condition(pod, kind) == "True"


async def test_many_pods_at_once(pods: Pods) -> None:
    made = await asyncio.gather(*(pods.pod(sh("echo done"), restartPolicy="Never") for _ in range(20)))
    for pod in made:
        pod = await pods.phase(pod, "Succeeded")
        assert container(pod)["restartCount"] == 0


async def test_a_pod_of_the_same_name_is_another_pod(pods: Pods) -> None:
    script = "ls /data; touch /data/mine; sleep 100"
    first = await pods.ready(await pods.pod(with_data(sh(script)), name="twin", **DATA))
    await pods.delete(first, grace_period=0)
    await pods.gone(first)
    second = await pods.ready(await pods.pod(with_data(sh(script)), name="twin", **DATA))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert container(second)["containerID"] != container(first)["containerID"]
    assert await pods.logs(second) == "", "its volume is a new one"
