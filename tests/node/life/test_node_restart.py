"""What becomes of pods when their node's own program is killed and starts again: nothing, and what it missed is told.

All CASES go through one outage together, on a node without pods of other tests; each test says how its case went.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kf_spawner.kube import Client, load_config
from tests.node.conftest import make_namespace
from tests.node.local_node import eventually
from tests.node.pods import DATA, Pods, condition, container, ended, last, sh, with_data

from .outage import Outage, SharedOutage

UNTIL_GO = "until [ -e /data/go ]; do sleep 0.05; done; touch /data/done"

pytestmark = [pytest.mark.disruptive, pytest.mark.asyncio(loop_scope="module")]


async def go(folder: Path) -> None:
    """Ends the wait of UNTIL_GO, from outside."""
    (folder / "go").touch()
    assert await asyncio.to_thread(eventually, (folder / "done").exists, timeout=60)


async def is_back(pods: Pods) -> None:
    """Returns once the node has done something for a pod that is made now."""
    await pods.over(await pods.pod(sh("exit 0"), restartPolicy="Never"))


async def a_container_runs_on_and_its_log_has_no_gap(pods: Pods, outage: SharedOutage) -> None:
    pod = await pods.ready(await pods.pod(sh("n=0; while :; do echo $n; n=$((n + 1)); sleep 0.05; done")))
    await pods.first_line(pod)
    async with outage:
        await asyncio.sleep(0.3)  # some lines that no node sees
    await is_back(pods)
    again = await pods.ready(pod)
    assert container(again)["containerID"] == container(pod)["containerID"]
    assert container(again)["restartCount"] == 0
    numbers = [int(line) for line in (await pods.logs(pod)).splitlines()]
    assert numbers == list(range(len(numbers)))


async def what_ended_meanwhile_is_told(pods: Pods, outage: SharedOutage) -> None:
    made = {}
    for code, phase in ((0, "Succeeded"), (6, "Failed")):
        part = with_data(sh(f"{UNTIL_GO}; exit {code}"))
        made[code, phase] = await pods.ready(await pods.pod(part, restartPolicy="Never", **DATA))
    async with outage:
        for pod in made.values():
            await go(outage.volume(pod))
    for (code, phase), before in made.items():
        pod = await pods.over(before)
        assert (pod["status"]["phase"], ended(pod)["exitCode"]) == (phase, code)
        assert container(pod)["restartCount"] == 0


async def what_crashed_meanwhile_starts_again(pods: Pods, outage: SharedOutage) -> None:
    part = with_data(sh(f"[ -e /data/done ] && sleep 100; {UNTIL_GO}; exit 7"))
    pod = await pods.ready(await pods.pod(part, **DATA))
    async with outage:
        await go(outage.volume(pod))
    pod = await pods.until(
        pod, lambda now: container(now)["restartCount"] == 1 and "running" in container(now)["state"]
    )
    assert last(pod)["exitCode"] == 7


async def a_crash_loop_goes_on_counting(pods: Pods, outage: SharedOutage) -> None:
    pod = await pods.waiting(await pods.pod(sh("exit 7")), "CrashLoopBackOff")
    async with outage:
        before = container(await pods.get(pod))["restartCount"]
    pod = await pods.until(pod, lambda now: container(now)["restartCount"] > before)
    assert last(pod)["exitCode"] == 7


async def what_was_deleted_meanwhile_is_ended(pods: Pods, outage: SharedOutage) -> None:
    """Asked or forced: the node removes a pod's volumes when its containers have ended, and not before."""
    part = with_data(sh("while :; do touch /data/alive; sleep 0.1; done"))
    made = {grace: await pods.ready(await pods.pod(part, **DATA)) for grace in (None, 0)}
    folders = [outage.volume(pod) for pod in made.values()]
    for folder in folders:
        assert await asyncio.to_thread(eventually, (folder / "alive").exists)
    async with outage:
        for grace, pod in made.items():
            await pods.delete(pod, grace_period=grace)
    for pod, folder in zip(made.values(), folders, strict=True):
        await pods.gone(pod)
        assert not await asyncio.to_thread(eventually, folder.exists, wanted=False, timeout=60)


async def what_was_made_meanwhile_starts(pods: Pods, outage: SharedOutage) -> None:
    async with outage:
        pod = await pods.pod(sh("echo done"), restartPolicy="Never")
    assert await pods.output(pod) == "done\n"


async def an_init_container_is_not_run_again(pods: Pods, outage: SharedOutage) -> None:
    first = with_data(sh("echo once >> /data/n"))
    pod = await pods.ready(await pods.pod(with_data(sh("sleep 1000")), init=[first], **DATA))
    async with outage:
        pass
    await is_back(pods)
    assert await pods.run(pod, "cat", "/data/n") == "once\n"
    now = await pods.get(pod)
    assert container(now)["restartCount"] == container(now, "init0")["restartCount"] == 0


async def readiness_is_followed_again(pods: Pods, outage: SharedOutage) -> None:
    probe = {"exec": {"command": ["test", "-e", "/data/ok"]}, "periodSeconds": 1, "failureThreshold": 1}
    pod = await pods.pod(with_data(sh("touch /data/ok; sleep 1000", readinessProbe=probe)), **DATA)
    pod = await pods.ready(pod)
    async with outage:
        (outage.volume(pod) / "ok").unlink()
    now = await pods.until(pod, lambda now: condition(now, "Ready") == "False")
    assert container(now)["restartCount"] == 0
    await pods.run(pod, "touch", "/data/ok")
    await pods.ready(pod)


CASES = {
    case.__name__: case
    for case in (
        a_container_runs_on_and_its_log_has_no_gap,
        what_ended_meanwhile_is_told,
        what_crashed_meanwhile_starts_again,
        a_crash_loop_goes_on_counting,
        what_was_deleted_meanwhile_is_ended,
        what_was_made_meanwhile_starts,
        an_init_container_is_not_run_again,
        readiness_is_followed_again,
    )
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exposed(outage: Outage) -> AsyncIterator[Pods]:
    """Pods on the node of `outage`, which is back and has ended them when the tests are over."""
    async with Client(load_config(outage.target.kubeconfig), user_agent="node-tests") as client:
        await make_namespace(client, outage.target.namespace)
        pods = Pods(client, outage.target)
        yield pods
        left = await pods.pods()
        await pods.clear()
        for pod in left:
            await pods.gone(pod)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def went(exposed: Pods, outage: Outage) -> dict[str, asyncio.Task[None]]:
    """How each case went: a task that has ended."""
    shared = SharedOutage(outage, parties=len(CASES))
    tasks = {name: asyncio.create_task(shared.through(case(exposed, shared))) for name, case in CASES.items()}
    await shared.happen()
    await asyncio.wait(tasks.values())
    return tasks


@pytest.mark.parametrize("case", CASES)
async def test_after_an_outage(went: dict[str, asyncio.Task[None]], case: str) -> None:
    await went[case]


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
