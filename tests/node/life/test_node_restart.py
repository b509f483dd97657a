"""What becomes of pods when their node's own program is killed and starts again: nothing, and what it missed is told.

They have a node that no other test's pods are on, or run while no other test does: not `independent`.
"""

import asyncio
from pathlib import Path

import pytest

from tests.node.local_node import eventually
from tests.node.pods import DATA, Pods, condition, container, ended, last, sh, with_data

from .outage import Outage

UNTIL_GO = "until [ -e /data/go ]; do sleep 0.05; done; touch /data/done"


def go(folder: Path) -> None:
    """Ends the wait of UNTIL_GO, from outside."""
    (folder / "go").touch()
    assert eventually((folder / "done").exists, timeout=60)


async def is_back(exposed: Pods) -> None:
    """Returns once the node has done something for a pod that is made now."""
    await exposed.over(await exposed.pod(sh("exit 0"), restartPolicy="Never"))


async def test_a_container_runs_on_and_its_log_has_no_gap(exposed: Pods, outage: Outage) -> None:
    pod = await exposed.ready(await exposed.pod(sh("n=0; while :; do echo $n; n=$((n + 1)); sleep 0.05; done")))
    await exposed.first_line(pod)
    with outage.away():
        await asyncio.sleep(0.3)  # some lines that no node sees
    await is_back(exposed)
    again = await exposed.ready(pod)
    assert container(again)["containerID"] == container(pod)["containerID"]
    assert container(again)["restartCount"] == 0
    numbers = [int(line) for line in (await exposed.logs(pod)).splitlines()]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (6, "Failed")])
async def test_what_ended_meanwhile_is_told(exposed: Pods, outage: Outage, code: int, phase: str) -> None:
    pod = await exposed.ready(
        await exposed.pod(with_data(sh(f"{UNTIL_GO}; exit {code}")), restartPolicy="Never", **DATA)
    )
    with outage.away():
        go(outage.volume(pod))
    pod = await exposed.over(pod)
    assert (pod["status"]["phase"], ended(pod)["exitCode"]) == (phase, code)
    assert container(pod)["restartCount"] == 0


async def test_what_crashed_meanwhile_starts_again(exposed: Pods, outage: Outage) -> None:
    part = with_data(sh(f"[ -e /data/done ] && sleep 100; {UNTIL_GO}; exit 7"))
    pod = await exposed.ready(await exposed.pod(part, **DATA))
    with outage.away():
        go(outage.volume(pod))
    pod = await exposed.until(
        pod, lambda now: container(now)["restartCount"] == 1 and "running" in container(now)["state"]
    )
    assert last(pod)["exitCode"] == 7


async def test_a_crash_loop_goes_on_counting(exposed: Pods, outage: Outage) -> None:
    pod = await exposed.waiting(await exposed.pod(sh("exit 7")), "CrashLoopBackOff")
    before = container(pod)["restartCount"]
    with outage.away():
        pass
    pod = await exposed.until(pod, lambda now: container(now)["restartCount"] > before)
    assert last(pod)["exitCode"] == 7


@pytest.mark.parametrize("grace_period", [None, 0], ids=["asked", "forced"])
async def test_what_was_deleted_meanwhile_is_ended(exposed: Pods, outage: Outage, grace_period: int | None) -> None:
    """The node removes a pod's volumes when its containers have ended, and not before."""
    pod = await exposed.ready(
        await exposed.pod(with_data(sh("while :; do touch /data/alive; sleep 0.1; done")), **DATA)
    )
    folder = outage.volume(pod)
    assert eventually((folder / "alive").exists)
    with outage.away():
        await exposed.delete(pod, grace_period=grace_period)
    await exposed.gone(pod)
    assert not await asyncio.to_thread(eventually, folder.exists, wanted=False, timeout=60)


async def test_what_was_made_meanwhile_starts(exposed: Pods, outage: Outage) -> None:
    with outage.away():
        pod = await exposed.pod(sh("echo done"), restartPolicy="Never")
    assert await exposed.output(pod) == "done\n"


async def test_no_container_starts_twice(exposed: Pods, outage: Outage) -> None:
    """Each appends a line to its pod's volume when it starts; the node is killed while they do.

    With a kubelet a start that is under way may fail then: the runtime gives it up with the caller. A container that
    was made and has not run yet is made once more, which counts as a restart.
    """
    made = []
    for _ in range(3):
        for _ in range(3):
            part = with_data(sh("echo started >> /data/starts; sleep 100"))
            made.append(await exposed.pod(part, restartPolicy="Never", **DATA))
        await exposed.running(made[-3])
        with outage.away():
            pass
    for pod in made:
        pod = await exposed.until(pod, lambda now: condition(now, "Ready") == "True" or ended(now))
        if not exposed.target.containers:
            assert container(pod)["restartCount"] == 0
        elif ended(pod):
            assert ended(pod)["reason"] == "StartError"
            continue
        starts = outage.volume(pod) / "starts"
        assert eventually(lambda starts=starts: starts.exists() and starts.read_text()) == "started\n"


async def test_an_init_container_is_not_run_again(exposed: Pods, outage: Outage) -> None:
    first = with_data(sh("echo once >> /data/n"))
    pod = await exposed.ready(await exposed.pod(with_data(sh("sleep 100")), init=[first], **DATA))
    with outage.away():
        pass
    await is_back(exposed)
    assert await exposed.run(pod, "cat", "/data/n") == "once\n"
    now = await exposed.get(pod)
    assert container(now)["restartCount"] == container(now, "init0")["restartCount"] == 0


async def test_readiness_is_followed_again(exposed: Pods, outage: Outage) -> None:
    probe = {"exec": {"command": ["test", "-e", "/data/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    pod = await exposed.pod(with_data(sh("touch /data/ok; sleep 100", readinessProbe=probe)), **DATA)
    pod = await exposed.ready(pod)
    with outage.away():
        (outage.volume(pod) / "ok").unlink()
    now = await exposed.until(pod, lambda now: condition(now, "Ready") == "False")
    assert container(now)["restartCount"] == 0
    await exposed.run(pod, "touch", "/data/ok")
    await exposed.ready(pod)
