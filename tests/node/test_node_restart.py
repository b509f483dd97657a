"""What happens to pods when their node is killed, stopped and started again, and when a shim is killed."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import NODES
from tests.fixtures.control_plane import ControlPlane

from .conftest import LocalPods, make_namespace
from .local_node import LocalNode, eventually
from .pods import DATA, condition, container, ended, last, sh, with_data

QUICK = ("--backoff-first=1", "--reserved-memory=0")
UNTIL_GO = "until [ -e /data/go ]; do sleep 0.05; done"


def data(node: LocalNode, pod: dict) -> Path:
    """The volume `data` of a pod, from outside."""
    return node.root / "pods" / pod["metadata"]["uid"] / "volumes" / "data"


def go(node: LocalNode, pod: dict) -> None:
    """Ends the wait of UNTIL_GO."""
    (data(node, pod) / "go").touch()


async def test_killed_node_adopts_what_runs(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    part = sh("n=0; while :; do echo $n; n=$((n + 1)); sleep 0.05; done", resources={"limits": {"cpu": "1"}})
    pod = await own.ready(await own.pod(part))
    await own.event(pod, "NotEnforced")
    before = eventually(lambda: node.container_processes(pod["metadata"]["uid"]))
    await own.first_line(pod)
    node.kill()
    await asyncio.sleep(0.3)  # some lines that no node sees
    node.start(*QUICK)
    await node.until_ready()
    again = await own.get(pod)
    assert container(again)["containerID"] == container(pod)["containerID"]
    assert container(again)["restartCount"] == 0
    assert isinstance(before, dict)
    assert min(before) in node.container_processes(pod["metadata"]["uid"])
    numbers = [int(line) for line in (await own.logs(pod)).splitlines()]
    assert numbers == list(range(len(numbers)))
    await own.delete(again)
    await own.event(pod, "Killing")  # events are written in order
    assert [event[1] for event in await own.events(pod)].count("NotEnforced") == 1
    await own.gone(pod)
    assert not node.container_processes()


async def test_what_ended_without_the_node_is_reported(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    done = await own.pod(with_data(sh(f"{UNTIL_GO}; exit 6")), restartPolicy="Never", **DATA)
    crashing = await own.pod(with_data(sh(f"{UNTIL_GO}; exit 1")), **DATA)
    deleted = await own.pod(sh("sleep 100"))
    forced = await own.pod(sh("sleep 100"))
    for pod in (done, crashing, deleted, forced):
        await own.ready(pod)
    node.kill()
    await own.delete(deleted)
    await own.delete(forced, grace_period=0)
    for pod in (done, crashing):
        go(node, pod)
        assert eventually((node.attempts(pod["metadata"]["uid"], "c0")[0] / "exit.json").exists)
    node.start(*QUICK)
    done = await own.phase(done, "Failed")
    assert ended(done)["exitCode"] == 6
    await own.until(crashing, lambda now: container(now)["restartCount"] >= 1)
    await own.gone(deleted)
    for pod in (deleted, forced):
        uid = pod["metadata"]["uid"]
        assert not eventually(lambda uid=uid: node.container_processes(uid), wanted=False)
        assert not eventually((node.root / "pods" / uid).exists, wanted=False)


async def test_no_container_starts_twice_however_often_the_node_is_killed(own: LocalPods) -> None:
    """Each pod appends a line to its volume when it starts: one line per pod, and one process."""
    node = own.node
    node.start(*QUICK)
    chance = random.Random(7)
    script = "echo started >> /data/starts; sleep 100"
    pods = []
    for _ in range(8):
        for _ in range(3):
            pods.append(await own.pod(with_data(sh(script)), restartPolicy="Never", **DATA))
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        node.kill()
        node.start(*QUICK)
    for pod in pods:
        now = await own.ready(pod)
        starts = data(node, pod) / "starts"
        assert eventually(lambda starts=starts: starts.exists() and starts.read_text()) == "started\n"
        assert container(now)["restartCount"] == 0
    assert len(node.shims()) == len(pods)


async def test_killed_shim_is_a_failed_container_without_leftovers(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    pod = await own.ready(await own.pod(sh("setsid sleep 300 & sleep 301"), restartPolicy="Never"))
    assert len(eventually(lambda: len(node.container_processes()) == 3 and node.container_processes())) == 3  # type: ignore[arg-type]
    (shim,) = node.shims()
    os.kill(shim, signal.SIGKILL)
    pod = await own.phase(pod, "Failed")
    assert ended(pod)["exitCode"] == 137
    assert not node.container_processes()


async def test_shim_killed_with_the_node(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    pod = await own.ready(await own.pod(sh("setsid sleep 300 & sleep 301")))
    (shim,) = node.shims()
    node.kill()
    os.kill(shim, signal.SIGKILL)
    node.start(*QUICK)
    pod = await own.until(pod, lambda now: container(now)["restartCount"] == 1)
    assert last(pod)["exitCode"] == 137
    assert len(node.shims()) == 1


async def test_stopped_node_ends_its_pods_and_starts_them_again(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    script = "trap 'exit 0' TERM; echo up; sleep 100 & wait"
    server = await own.pod(sh(script), restartPolicy="OnFailure")
    task = await own.pod(sh(script), restartPolicy="Never")
    for pod in (server, task):
        await own.first_line(pod)
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 20, "the containers end at once: no grace period passes"
    assert not node.container_processes()
    assert not node.shims()
    server, task = await own.get(server), await own.get(task)
    assert server["status"]["phase"] == "Running"
    assert condition(server, "Ready") == "False"
    assert container(server)["state"]["waiting"]["reason"] == "NodeShutdown"
    assert task["status"]["phase"] == "Failed"
    assert task["status"]["reason"] == "Terminated"
    about = await own.client.get(NODES, node.name)
    assert condition(about, "Ready") == "False"
    node.start(*QUICK)
    server = await own.ready(server)
    assert container(server)["restartCount"] == 1
    assert condition(await own.client.get(NODES, node.name), "Ready") == "True"
    assert (await own.get(task))["status"]["phase"] == "Failed"


async def test_a_node_that_was_taken_for_dead_says_that_it_is_not(own: LocalPods) -> None:
    """As the node controller does when leases could not be renewed: without a word from the node it stays so."""
    node = own.node
    node.start(*QUICK)
    await node.until_ready()
    dead = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "test"}
    patch = {"status": {"conditions": [dead]}}
    await own.client.patch(NODES, node.name, patch, subresource="status", kind="strategic")
    async with asyncio.timeout(60):
        while condition(await own.client.get(NODES, node.name), "Ready") != "True":
            await asyncio.sleep(0.2)


async def test_stopped_node_can_leave_its_pods_running(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK, "--stop-pods=false")
    pod = await own.ready(await own.pod(sh("sleep 100")))
    node.stop()
    assert len(node.shims()) == 1
    node.start(*QUICK)
    await node.until_ready()
    assert container(await own.get(pod))["restartCount"] == 0


async def test_pods_of_a_node_that_never_comes_back_end_themselves(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK, "--orphan-grace=1")
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    pod = await own.pod(sh(script), terminationGracePeriodSeconds=1)
    await own.first_line(pod)
    node.kill()
    assert not eventually(lambda: node.container_processes() or node.shims(), wanted=False, timeout=60)


async def test_exec_of_a_killed_node_is_ended_by_the_next(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    pod = await own.ready(await own.pod(sh("sleep 100")))
    (_, attempt), *_ = node.container_processes().items()
    stray = await asyncio.create_subprocess_exec("sleep", "200", env={"KF_SPAWNER_CONTAINER": attempt})
    node.kill()
    node.start(*QUICK)
    assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGKILL
    assert container(await own.get(pod))["restartCount"] == 0


async def test_node_stopped_while_it_starts_leaves_no_process(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    pod = await own.ready(await own.pod(sh("sleep 100"), restartPolicy="OnFailure"))
    node.kill()
    node.start(*QUICK)
    assert eventually(lambda: node.log.read_text().count("starting") == 2)
    node.stop()
    assert not node.container_processes()
    assert not node.shims()
    node.start(*QUICK)
    await own.until(pod, lambda now: container(now)["restartCount"] == 1)


async def test_two_nodes_cannot_share_a_folder(own: LocalPods) -> None:
    node = own.node
    node.start(*QUICK)
    await own.ready(await own.pod(sh("sleep 100")))
    first = node.process
    node.start(*QUICK)
    assert node.process is not None
    assert node.process.wait(60) == 2
    assert "another node is running" in node.log.read_text()
    node.process = first


async def test_each_gpu_is_one_containers_and_stays_so(own: LocalPods) -> None:
    """Two GPUs, as an nvidia-smi on PATH shows them: whoever has one keeps it over a node's death."""
    node = own.node
    tool = node.home / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, NVIDIA A100'\necho '1, NVIDIA A100'\n")
    tool.chmod(0o755)
    node.start(*QUICK)
    await node.until_ready()
    about = await own.client.get(NODES, node.name)
    assert about["status"]["capacity"]["nvidia.com/gpu"] == "2"
    one = {**sh('echo "$CUDA_VISIBLE_DEVICES"; sleep 100'), "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    first = await own.pod(one)
    assert await own.first_line(first) == "0\n"
    node.kill()
    node.start(*QUICK)
    await node.until_ready()
    second, third = await own.pod(one), await own.pod(one)
    assert await own.first_line(second) == "1\n"
    third = await own.phase(third, "Failed")
    assert third["status"]["reason"] == "OutOfnvidia.com/gpu"
    await own.delete(first)
    await own.gone(first)
    assert await own.first_line(await own.pod(one)) == "0\n"


async def test_pods_go_on_while_the_api_server_is_away(new_control_plane: ControlPlane, tmp_path: Path) -> None:
    node = LocalNode(new_control_plane, tmp_path / "home", "far")
    node.start(*QUICK)
    config = load_config(new_control_plane.admin_kubeconfig)
    async with Client(config, user_agent="node-tests") as client:
        await make_namespace(client, "away")
        pods = LocalPods(client, node, "away")
        done = await pods.pod(with_data(sh(f"{UNTIL_GO}; exit 6")), restartPolicy="Never", **DATA)
        crashing = await pods.pod(with_data(sh(f"{UNTIL_GO}; exit 1")), **DATA)
        for pod in (done, crashing):
            await pods.ready(pod)
        new_control_plane.kill("kube-apiserver")
        for pod in (done, crashing):
            go(node, pod)
        assert eventually(lambda: (node.attempts(done["metadata"]["uid"], "c0")[0] / "exit.json").exists())
        assert eventually(lambda: len(node.attempts(crashing["metadata"]["uid"], "c0")) == 2)
        await asyncio.to_thread(new_control_plane.start, ["kube-apiserver"])
        done = await pods.phase(done, "Failed")
        assert ended(done)["exitCode"] == 6
        await pods.until(crashing, lambda now: container(now)["restartCount"] >= 1)
        new_control_plane.kill("kube-apiserver")
        await asyncio.to_thread(node.close)  # it does not wait for the API server to come back


@pytest.mark.faults
async def test_node_killed_at_random_moments(own: LocalPods) -> None:
    """Jobs of three tries each, the node killed all the while: all succeed, each start is counted."""
    node = own.node
    node.start(*QUICK)
    chance = random.Random()
    script = "echo x >> /data/n; sleep 0.2; [ $(wc -l < /data/n) -ge 3 ]"
    pods = [await own.pod(with_data(sh(script)), restartPolicy="OnFailure", **DATA) for _ in range(10)]
    for _ in range(10):
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        node.kill()
        node.start(*QUICK)
    for pod in pods:
        now = await own.phase(pod, "Succeeded")
        lines = (data(node, pod) / "n").read_text().split()
        assert len(lines) == container(now)["restartCount"] + 1 == 3
