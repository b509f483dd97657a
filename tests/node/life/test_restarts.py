"""Which containers start again, when, and what is said of the attempt before."""

import asyncio
import re

import pytest

from tests.node.pods import DATA, TIMEOUT, Pods, container, ended, last, sh, waits, with_data

COUNT = "echo x >> /data/n; echo attempt $(wc -l < /data/n); "
"""Begins a script that knows its own attempt: 1, 2, …"""


async def test_a_crash_loop_goes_through_its_states(pods: Pods) -> None:
    pod = await pods.pod(sh("exit 7"))
    pod = await pods.waiting(pod, "CrashLoopBackOff")
    # The first end is followed by a start at once, the second by a pause.
    assert container(pod)["restartCount"] == 1
    assert (last(pod)["exitCode"], last(pod)["reason"]) == (7, "Error")
    name = f"{pod['metadata']['name']}_{pods.namespace}({pod['metadata']['uid']})"
    assert waits(pod)["message"] == f"back-off {pods.target.backoff}s restarting failed container=c0 pod={name}"
    assert pod["status"]["phase"] == "Running"
    kind, _, message = await pods.event(pod, "BackOff")
    assert (kind, message) == ("Warning", f"Back-off restarting failed container c0 in pod {name}")
    again = f"back-off {2 * pods.target.backoff}s "
    pod = await pods.until(pod, lambda now: waits(now).get("message", "").startswith(again))
    assert container(pod)["restartCount"] == 2


async def test_always_means_after_success_too(pods: Pods) -> None:
    pod = await pods.restarted(await pods.pod(sh("exit 0")))
    assert last(pod)["reason"] == "Completed"
    assert pod["status"]["phase"] == "Running"


async def test_on_failure_means_until_it_succeeds(pods: Pods) -> None:
    script = COUNT + "[ $(wc -l < /data/n) = 2 ]"
    pod = await pods.over(await pods.pod(with_data(sh(script)), restartPolicy="OnFailure", **DATA))
    assert pod["status"]["phase"] == "Succeeded"
    assert container(pod)["restartCount"] == 1
    assert last(pod)["exitCode"] == 1
    assert ended(pod)["exitCode"] == 0
    assert last(pod)["containerID"] != ended(pod)["containerID"]


async def test_never_means_that_a_failure_stays(pods: Pods) -> None:
    pod = await pods.over(await pods.pod(sh("exit 1"), restartPolicy="Never"))
    assert container(pod)["lastState"] == {}
    assert not [event for event in await pods.events(pod) if event[1] == "BackOff"]


async def test_only_the_container_that_failed_starts_again(pods: Pods) -> None:
    pod = await pods.restarted(await pods.pod(sh("exit 1"), sh("sleep 100")))
    assert container(pod, "c1")["restartCount"] == 0
    assert "running" in container(pod, "c1")["state"]


RULES = {
    # name: (operator, values, exit code, starts again)
    "in": ("In", [42], 42, True),
    "not-in-them": ("In", [42], 1, False),
    "in-several": ("In", [1, 42], 1, True),
    "not-in": ("NotIn", [3], 4, True),
    "not-in-but-it-is": ("NotIn", [3], 3, False),
}


@pytest.mark.parametrize("name", RULES)
async def test_exit_codes_that_a_rule_restarts(pods: Pods, name: str) -> None:
    operator, values, code, again = RULES[name]
    rule = {"action": "Restart", "exitCodes": {"operator": operator, "values": values}}
    part = {**sh(f"exit {code}"), "restartPolicy": "Never", "restartPolicyRules": [rule]}
    pod = await pods.pod(part, restartPolicy="Never")
    if again:
        pod = await pods.restarted(pod)
        assert last(pod)["exitCode"] == code
        assert pod["status"]["phase"] == "Running"
    else:
        pod = await pods.over(pod)
        assert (pod["status"]["phase"], container(pod)["restartCount"]) == ("Failed", 0)


async def test_a_containers_own_policy_comes_first(pods: Pods) -> None:
    pod = await pods.pod({**sh("exit 1"), "restartPolicy": "OnFailure"}, sh("sleep 100"), restartPolicy="Never")
    pod = await pods.restarted(pod)
    assert last(pod)["exitCode"] == 1


async def test_a_containers_own_never_in_a_pod_that_restarts(pods: Pods) -> None:
    pod = await pods.pod({**sh("exit 1"), "restartPolicy": "Never"}, sh("exit 1"))
    pod = await pods.restarted(pod, "c1")
    assert container(pod)["restartCount"] == 0
    assert ended(pod)["exitCode"] == 1


async def test_logs_of_the_attempt_before(pods: Pods) -> None:
    script = COUNT + "[ $(wc -l < /data/n) = 1 ] && exit 1; sleep 100"
    pod = await pods.again(await pods.pod(with_data(sh(script)), **DATA))
    assert await pods.logs(pod, previous=True) == "attempt 1\n"
    assert await pods.first_line(pod) == "attempt 2\n"


async def test_logs_while_a_container_waits_to_start_again(pods: Pods) -> None:
    """Of the attempt that ended last; of the one before it a kubelet may have forgotten the log."""
    pod = await pods.pod(with_data(sh(COUNT + "exit 1")), with_data(sh("sleep 1000")), **DATA)
    told, wanted = [""], ["never asked"]
    try:
        async with asyncio.timeout(TIMEOUT):
            # The next attempt may begin between two questions: then their answers are of different ones.
            while told != wanted:
                await pods.waiting(pod, "CrashLoopBackOff")
                attempts = int(await pods.run(pod, "sh", "-c", "wc -l < /data/n", name="c1"))
                told, wanted = [await pods.logs(pod)], [f"attempt {attempts}\n"]
                if not pods.target.containers:
                    told.append(await pods.logs(pod, previous=True))
                    wanted.append(f"attempt {attempts - 1}\n")
    except TimeoutError:
        pytest.fail(f"{told}, and not {wanted}")


async def test_what_a_volume_holds_outlives_the_container_and_what_a_container_holds_does_not(pods: Pods) -> None:
    look = "[ -e /data/volume ] && { echo $(ls /data) $(ls /work); sleep 100; }"
    part = with_data({**sh(f"{look}; touch /data/volume /work/own; exit 1"), "workingDir": "/work"})
    pod = await pods.again(await pods.pod(part, **DATA))
    assert re.findall(r"volume|own", await pods.first_line(pod)) == ["volume"]
