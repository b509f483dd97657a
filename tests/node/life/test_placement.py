"""Where a pod comes to and how it has to leave: the scheduler, too little room, eviction, drain."""

import asyncio

import pytest

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError
from kf_spawner.kube.resources import PODS
from tests.node.pods import Pods, about, ended, sh

BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
STOP = "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"
LOOK = ["example.org/look"]


async def test_the_scheduler_finds_the_node(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100"), nodeName=None, nodeSelector={"kubernetes.io/hostname": pods.target.node})
    pod = await pods.ready(pod)
    assert pod["spec"]["nodeName"] == pods.target.node
    said = f"Successfully assigned {pods.namespace}/{pod['metadata']['name']} to {pods.target.node}"
    assert await pods.event(pod, "Scheduled") == ("Normal", "Scheduled", said)


UNSCHEDULABLE = {
    # name: (fields of the pod, fields of its container, words)
    "selector": ({"nodeSelector": {"example.org/none": "x"}}, {}, "didn't match Pod's node affinity/selector"),
    "cpu": ({}, {"resources": {"requests": {"cpu": "1000"}}}, "Insufficient cpu"),
    "memory": ({}, {"resources": {"requests": {"memory": "1000Ti"}}}, "Insufficient memory"),
    "gpu": ({}, {"resources": {"limits": {"nvidia.com/gpu": "99"}}}, "Insufficient nvidia.com/gpu"),
}


@pytest.mark.parametrize("name", UNSCHEDULABLE)
async def test_a_pod_that_no_node_can_take(pods: Pods, name: str) -> None:
    fields, container, words = UNSCHEDULABLE[name]
    pod = await pods.pod(sh("true", **container), nodeName=None, **fields)
    # Not the first message: while another test drains the node, the scheduler has other reasons.
    pod = await pods.until(pod, lambda now: words in about(now, "PodScheduled").get("message", ""))
    assert about(pod, "PodScheduled")["reason"] == "Unschedulable"
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]
    await pods.event(pod, "FailedScheduling", words)


ROOM = {
    # name: (resources of the container, reason, words)
    "cpu": ({"requests": {"cpu": "1000"}}, "OutOfcpu", "resource: cpu, requested: 1000000, used: "),
    "memory": (
        {"requests": {"memory": "1000Ti"}},
        "OutOfmemory",
        "resource: memory, requested: 1099511627776000, used: ",
    ),
}


@pytest.mark.parametrize("name", ROOM)
async def test_a_pod_that_was_put_where_there_is_no_room(pods: Pods, name: str) -> None:
    resources, reason, words = ROOM[name]
    pod = await pods.phase(await pods.pod(sh("true", resources=resources)), "Failed")
    assert pod["status"]["reason"] == reason
    assert pod["status"]["message"].startswith(f"Pod was rejected: Node didn't have enough {words}")
    assert (await pods.event(pod, reason))[0] == "Warning"


async def evict(pods: Pods, pod: dict) -> None:
    name = pod["metadata"]["name"]
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": pods.namespace}}
    await pods.client.create_subresource(PODS, name, pods.namespace, "eviction", body)


async def test_an_evicted_pod_ends_as_a_deleted_one_and_says_why(pods: Pods) -> None:
    pod = await pods.pod(sh(STOP), metadata={"finalizers": LOOK}, terminationGracePeriodSeconds=60)
    await pods.first_line(pod)
    await evict(pods, pod)
    pod = await pods.over(pod)
    assert ended(pod)["exitCode"] == 0
    assert about(pod, "DisruptionTarget")["reason"] == "EvictionByEvictionAPI"
    await pods.let_go(pod)


async def test_a_budget_keeps_a_pod_from_eviction(pods: Pods) -> None:
    label = {"app": "kept"}
    spec = {"minAvailable": 1, "selector": {"matchLabels": label}}
    body = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "kept"}, "spec": spec}
    await pods.client.create(BUDGETS, body, pods.namespace)
    pod = await pods.ready(await pods.pod(sh(STOP), metadata={"labels": label}))
    async with asyncio.timeout(60):
        while (await pods.client.get(BUDGETS, "kept", pods.namespace)).get("status", {}).get("currentHealthy") != 1:
            await asyncio.sleep(0.1)
    with pytest.raises(ApiError) as caught:
        await evict(pods, pod)
    assert caught.value.status == 429
    assert not (await pods.get(pod))["metadata"].get("deletionTimestamp")
    await pods.client.delete(BUDGETS, "kept", pods.namespace)


async def test_draining_the_node_ends_the_pods_that_are_meant(pods: Pods) -> None:
    label = f"drained-{pods.namespace}"
    meant = await pods.pod(sh(STOP), metadata={"labels": {"drain": label}})
    other = await pods.ready(await pods.pod(sh(STOP)))
    await pods.first_line(meant)
    try:
        code, said, err = await pods.kubectl(
            "drain",
            pods.target.node,
            f"--pod-selector=drain={label}",
            "--force",
            "--ignore-daemonsets",
            "--timeout=60s",
        )
        assert code == 0, err
        assert f"pod/{meant['metadata']['name']} evicted" in said
        await pods.gone(meant)
        assert (await pods.get(other))["status"]["phase"] == "Running"
        waiting = await pods.pod(sh("true"), nodeName=None, nodeSelector={"kubernetes.io/hostname": pods.target.node})
        waiting = await pods.until(waiting, lambda now: about(now, "PodScheduled").get("reason") == "Unschedulable")
        assert "unschedulable" in about(waiting, "PodScheduled")["message"]
    finally:
        await pods.kubectl("uncordon", pods.target.node)
    await pods.until(waiting, lambda now: now["spec"].get("nodeName") == pods.target.node)
