"""kill -9 of the operator at random moments while jobs are created, run, fail, restart and end.

What must hold is told by a watch from before the first moment on: each replica was made once, or once more for its
one failure; none is missing, and no job is stuck. A round is one kill: KF_FAULT_ROUNDS, 5 by default. The seed is
printed, and taken from KF_FAULT_SEED to repeat a run.
"""

import asyncio
import collections
import os
import random
import time
from datetime import UTC, datetime

import pytest

from kf_spawner.k8s.conditions import is_true
from kf_spawner.kube import Conflict, NotFound, Unreachable
from kf_spawner.kube.resources import PODS
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.tfjob.status import is_finished
from tests.operator.conftest import Namespace, OperatorProcess
from tests.tfjob.builders import job

ROUNDS = int(os.environ.get("KF_FAULT_ROUNDS", "5"))
SEED = int(os.environ.get("KF_FAULT_SEED", str(random.randrange(10**6))))
JOBS_A_ROUND = 3
LIMIT = 60.0  # seconds without any job's getting on
COUNTS = {"Chief": 1, "Worker": 2, "PS": 1}
TASKS = ("chief-0", "worker-0", "worker-1", "ps-0")
FAILS_ONCE = "worker-1"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 10 * ROUNDS)]


class Kubelet:
    """Moves every pod of a namespace on: all of a job run, one fails once, and then the chief succeeds."""

    def __init__(self, namespace: Namespace, chance: random.Random):
        self._namespace, self._chance = namespace, chance
        self.made: dict[str, set[str]] = collections.defaultdict(set)  # name to uids
        self.history: dict[str, list[str]] = collections.defaultdict(list)  # of each name
        self._ran: dict[str, set[str]] = collections.defaultdict(set)  # job to uids
        self._complete: dict[str, asyncio.Event] = collections.defaultdict(asyncio.Event)
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> "Kubelet":
        listed = await self._namespace.client.list(PODS, self._namespace.name)
        self._start(self._watch(listed["metadata"]["resourceVersion"]))
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert not [result for result in results if isinstance(result, Exception)]

    def _start(self, work) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda task: task.cancelled() or task.exception() or self._tasks.discard(task))

    async def _watch(self, version: str) -> None:
        """From `version` on, without a gap."""
        while True:
            try:
                async for kind, pod in self._namespace.client.watch(
                    PODS, self._namespace.name, resource_version=version
                ):
                    version = pod["metadata"]["resourceVersion"]
                    self._note(kind, pod)
                    if kind == "ADDED":
                        self.made[pod["metadata"]["name"]].add(pod["metadata"]["uid"])
                        self._start(self._live(pod))
            except Unreachable as error:
                print(f"watching again from {version}: {error}")

    def _note(self, kind: str, pod: dict) -> None:
        if kind != "BOOKMARK":
            what = f"{kind} {pod['metadata']['uid'][:8]} {pod['status'].get('phase')}"
            self.history[pod["metadata"]["name"]].append(f"{datetime.now(UTC):%H:%M:%S.%f} {what}")

    def check(self) -> None:
        """Raises what went wrong with the kubelet itself."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _live(self, pod: dict) -> None:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        job_name, kind, index = name.rsplit("-", 2)
        task = f"{kind}-{index}"
        await self._pause()
        if not await self._report(name, uid, "Running"):
            return
        self._ran[job_name].add(uid)
        if task == FAILS_ONCE and is_flaky(job_name) and len(self.made[name]) == 1:
            await self._pause()
            await self._report(name, uid, "Failed", code=137)
        elif len(self._ran[job_name]) == len(TASKS) + is_flaky(job_name):
            self._complete[job_name].set()
        if task == "chief-0":
            await self._complete[job_name].wait()
            await self._pause()
            await self._report(name, uid, "Succeeded", code=0)

    async def _pause(self) -> None:
        await asyncio.sleep(self._chance.expovariate(1 / 0.1))

    async def _report(self, name: str, uid: str, phase: str, *, code: int | None = None) -> bool:
        """False if that very pod is gone."""
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "tensorflow", "image": "tf", "imageID": "", "ready": False, "restartCount": 0}
        status = {"phase": phase, "containerStatuses": [{**container, "state": state}]}
        patch = {"metadata": {"uid": uid}, "status": status}
        try:
            await self._namespace.client.patch(PODS, name, patch, self._namespace.name, subresource="status")
        except (NotFound, Conflict):
            return False
        return True


def is_flaky(name: str) -> bool:
    return int(name.removeprefix("job-")) % 3 != 0


async def test_kills(namespace, operator_kubeconfig, tmp_path):
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    names = [f"job-{number}" for number in range(ROUNDS * JOBS_A_ROUND)]
    process = OperatorProcess(operator_kubeconfig, tmp_path / "operator.log", f"--namespace={namespace.name}")
    async with Kubelet(namespace, chance) as kubelet:
        try:
            for turn in range(ROUNDS):
                await asyncio.gather(
                    make_jobs(namespace, chance, names[turn * JOBS_A_ROUND : (turn + 1) * JOBS_A_ROUND]),
                    live_and_die(process, chance),
                )
            await asyncio.to_thread(process.start)
            jobs = await all_ended(namespace, kubelet)
            await namespace.until(lambda: nothing_left(namespace))
            assert await asyncio.to_thread(process.stop) == 0
        finally:
            if process.process and process.process.poll() is None:
                process.kill()
    wanted = {f"{name}-{task}": 1 + (is_flaky(name) and task == FAILS_ONCE) for name in names for task in TASKS}
    found = {name: len(uids) for name, uids in kubelet.made.items()}
    assert found == wanted, {name: kubelet.history[name] for name in wanted if found.get(name) != wanted[name]}
    assert set(jobs) == set(names)
    for name, status in jobs.items():
        assert is_true(status, "Succeeded")
        assert not is_true(status, "Failed")
        restarts = {task: memory["restarts"] for task, memory in status["tasks"].items() if "restarts" in memory}
        assert restarts == ({FAILS_ONCE: 1} if is_flaky(name) else {})
    assert "Traceback" not in process.log.read_text()
    print(
        f"{ROUNDS} kills: {len(names)} jobs, {sum(wanted.values())} pods, each made exactly as often as it should be"
    )


async def make_jobs(namespace: Namespace, chance: random.Random, names: list[str]) -> None:
    for name in names:
        await asyncio.sleep(chance.uniform(0, 0.5))
        made = job(name, restart="ExitCode", run_policy={"cleanPodPolicy": "All"}, **COUNTS)
        for spec in made["spec"]["tfReplicaSpecs"].values():
            spec["template"]["spec"]["schedulerName"] = "nobody"  # whose writes would cross the kubelet's
        await namespace.create(made)


async def live_and_die(process: OperatorProcess, chance: random.Random) -> None:
    """Some die before they do anything, most in the midst of their work."""
    if chance.random() < 0.1:
        process.launch()
        await asyncio.sleep(chance.uniform(0, 1))
    else:
        await asyncio.to_thread(process.start)
        await asyncio.sleep(chance.uniform(0, 1))
    await asyncio.to_thread(process.kill)


async def all_ended(namespace: Namespace, kubelet: Kubelet) -> dict[str, dict]:
    """Statuses by name, once no job goes on. Fails when nothing gets on any more."""
    before: object = None
    deadline = 0.0
    while True:
        kubelet.check()
        items = (await namespace.client.list(TFJOBS, namespace.name))["items"]
        found = {item["metadata"]["name"]: item.get("status") or {} for item in items}
        going = {name: status for name, status in found.items() if not is_finished(status)}
        if not going:
            return found
        if going != before:
            before, deadline = going, time.monotonic() + LIMIT
        stuck = {
            name: [pods for pod, pods in kubelet.history.items() if pod.startswith(f"{name}-")] for name in going
        }
        assert time.monotonic() < deadline, f"jobs are stuck: {going}; their pods: {stuck}"
        await asyncio.sleep(0.5)


async def nothing_left(namespace: Namespace) -> bool:
    return not await namespace.pods() and not await namespace.services()
