"""Events: what anybody who looks at a pod is told of its life, in order."""

import asyncio

from kf_spawner.kube.resources import EVENTS
from tests.node.pods import POLL, TIMEOUT, Pods, sh

LIFE = ["Pulled", "Created", "Started"]


def reasons(events: list[tuple[str, str, str]]) -> list[str]:
    return [reason for _, reason, _ in events if reason not in ("Pulling", "Scheduled")]


async def test_of_a_pod_that_starts(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100"))
    assert await pods.event(pod, "Started") == ("Normal", "Started", "Container started")
    assert await pods.event(pod, "Created") == ("Normal", "Created", "Container created")
    assert reasons(await pods.events(pod)) == LIFE


async def test_of_a_pod_with_two_containers(pods: Pods) -> None:
    pod = await pods.pod(sh("true"), init=[sh("true")], restartPolicy="Never")
    await pods.over(pod)
    await pods.event(pod, "Started")
    name = pod["metadata"]["name"]
    code, said, err = await pods.kubectl(
        "get", "events", f"--field-selector=involvedObject.name={name},reason=Started", "-o",
        "jsonpath={range .items[*]}{.involvedObject.fieldPath}{'\\n'}{end}",
    )  # fmt: skip
    assert code == 0, err
    assert set(said.split()) <= {"spec.initContainers{init0}", "spec.containers{c0}"}
    assert "spec.initContainers{init0}" in said


async def test_of_a_container_that_starts_again_are_counted(pods: Pods) -> None:
    """One event for all starts, not one for each; so with what comes of them."""
    pod = await pods.restarted(await pods.pod(sh("exit 1")), times=2)
    await pods.event(pod, "BackOff")
    selector = f"involvedObject.uid={pod['metadata']['uid']},reason=Started"
    async with asyncio.timeout(TIMEOUT):
        while True:
            started = (await pods.client.list(EVENTS, pods.namespace, field_selector=selector))["items"]
            if started and started[-1]["count"] >= 3:
                break
            await asyncio.sleep(POLL)
    assert len(started) == 1
    assert sorted(reasons(await pods.events(pod))) == sorted([*LIFE, "BackOff"])


async def test_are_in_kubectl_describe(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100"), nodeName=None, nodeSelector={"kubernetes.io/hostname": pods.target.node})
    await pods.event(pod, "Started")
    code, said, err = await pods.kubectl("describe", "pod", pod["metadata"]["name"])
    assert code == 0, err
    for words in ("Successfully assigned", "Container created", "Container started"):
        assert words in said
