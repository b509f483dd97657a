"""What happens to pods when their node is killed, stopped and started again, and when a shim is killed."""

import asyncio
import itertools
import os
import random
import signal
import time
from pathlib import Path

import pytest

from kf_spawner.kube import Client, load_config
from kf_spawner.kube.resources import NODES
from tests.fixtures.control_plane import ControlPlane

from .conftest import Cluster, LocalNode, condition, container, ended, eventually, make_namespace, sh

QUICK = ("--backoff-first=1", "--reserved-memory=0")


async def test_killed_node_adopts_what_runs(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    pod = await own_cluster.ready(await own_cluster.pod(sh("while :; do date +%s.%N; sleep 0.05; done")))
    before = eventually(lambda: node.container_processes(pod["metadata"]["uid"]))
    await own_cluster.first_line(pod)
    node.kill()
    await asyncio.sleep(0.3)
    node.start(*QUICK)
    await node.until_ready()
    again = await own_cluster.get(pod)
    assert container(again)["containerID"] == container(pod)["containerID"]
    assert container(again)["restartCount"] == 0
    assert isinstance(before, dict)
    assert min(before) in node.container_processes(pod["metadata"]["uid"])
    times = [float(line) for line in (await own_cluster.logs(pod)).splitlines()]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 1.0
    await own_cluster.delete(again)
    await own_cluster.gone(pod)
    assert not node.container_processes()


async def test_what_ended_without_the_node_is_reported(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    done = await own_cluster.pod(sh("sleep 1; exit 6"), restartPolicy="Never")
    crashing = await own_cluster.pod(sh("sleep 1; exit 1"))
    deleted = await own_cluster.pod(sh("sleep 100"))
    forced = await own_cluster.pod(sh("sleep 100"))
    for pod in (done, crashing, deleted, forced):
        await own_cluster.ready(pod)
    node.kill()
    await own_cluster.delete(deleted)
    await own_cluster.delete(forced, grace_period=0)
    assert eventually(lambda: (node.attempts(done["metadata"]["uid"], "c0")[0] / "exit.json").exists())
    node.start(*QUICK)
    done = await own_cluster.phase(done, "Failed")
    assert ended(done)["exitCode"] == 6
    await own_cluster.until(crashing, lambda now: container(now)["restartCount"] >= 1)
    await own_cluster.gone(deleted)
    for pod in (deleted, forced):
        uid = pod["metadata"]["uid"]
        assert not eventually(lambda uid=uid: node.container_processes(uid), wanted=False)
        assert not eventually((node.root / "pods" / uid).exists, wanted=False)


async def test_no_container_starts_twice_however_often_the_node_is_killed(own_cluster: Cluster) -> None:
    """Each pod appends a line to its volume when it starts: one line per pod, and one process."""
    node = own_cluster.node
    node.start(*QUICK)
    chance = random.Random(7)
    script = "echo started >> /data/starts; sleep 100"
    pods = []
    for _ in range(8):
        for _ in range(3):
            pods.append(
                await own_cluster.pod(
                    {**sh(script), "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
                    volumes=[{"name": "data", "emptyDir": {}}],
                    restartPolicy="Never",
                )
            )
        await asyncio.sleep(chance.uniform(0.0, 0.6))
        node.kill()
        node.start(*QUICK)
    for pod in pods:
        now = await own_cluster.ready(pod)
        uid = pod["metadata"]["uid"]
        starts = node.root / "pods" / uid / "volumes" / "data" / "starts"
        assert eventually(starts.exists)
        assert starts.read_text() == "started\n"
        assert container(now)["restartCount"] == 0
    assert len(node.shims()) == len(pods)


async def test_killed_shim_is_a_failed_container_without_leftovers(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    pod = await own_cluster.ready(await own_cluster.pod(sh("setsid sleep 300 & sleep 301"), restartPolicy="Never"))
    assert len(eventually(lambda: len(node.container_processes()) == 3 and node.container_processes())) == 3  # type: ignore[arg-type]
    (shim,) = node.shims()
    os.kill(shim, signal.SIGKILL)
    pod = await own_cluster.phase(pod, "Failed")
    assert ended(pod)["exitCode"] == 137
    assert not node.container_processes()


async def test_shim_killed_with_the_node(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    pod = await own_cluster.ready(await own_cluster.pod(sh("setsid sleep 300 & sleep 301")))
    (shim,) = node.shims()
    node.kill()
    os.kill(shim, signal.SIGKILL)
    node.start(*QUICK)
    pod = await own_cluster.until(pod, lambda now: container(now)["restartCount"] == 1)
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 137
    assert len(node.shims()) == 1


async def test_stopped_node_ends_its_pods_and_starts_them_again(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    script = "trap 'exit 0' TERM; echo up; sleep 100 & wait"
    server = await own_cluster.pod(sh(script), restartPolicy="OnFailure")
    task = await own_cluster.pod(sh(script), restartPolicy="Never")
    for pod in (server, task):
        await own_cluster.first_line(pod)
    began = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - began < 8
    assert not node.container_processes()
    assert not node.shims()
    server, task = await own_cluster.get(server), await own_cluster.get(task)
    assert server["status"]["phase"] == "Running"
    assert condition(server, "Ready") == "False"
    assert container(server)["state"]["waiting"]["reason"] == "NodeShutdown"
    assert task["status"]["phase"] == "Failed"
    assert task["status"]["reason"] == "Terminated"
    about = await own_cluster.client.get(NODES, node.name)
    assert condition(about, "Ready") == "False"
    node.start(*QUICK)
    server = await own_cluster.ready(server)
    assert container(server)["restartCount"] == 1
    assert condition(await own_cluster.client.get(NODES, node.name), "Ready") == "True"
    assert (await own_cluster.get(task))["status"]["phase"] == "Failed"


async def test_a_node_that_was_taken_for_dead_says_that_it_is_not(own_cluster: Cluster) -> None:
    """As the node controller does when leases could not be renewed: without a word from the node it stays so."""
    node = own_cluster.node
    node.start(*QUICK)
    await node.until_ready()
    dead = {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown", "message": "test"}
    patch = {"status": {"conditions": [dead]}}
    await own_cluster.client.patch(NODES, node.name, patch, subresource="status", kind="strategic")
    async with asyncio.timeout(25):
        while condition(await own_cluster.client.get(NODES, node.name), "Ready") != "True":
            await asyncio.sleep(0.2)


async def test_stopped_node_can_leave_its_pods_running(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK, "--stop-pods=false")
    pod = await own_cluster.ready(await own_cluster.pod(sh("sleep 100")))
    node.stop()
    assert len(node.shims()) == 1
    node.start(*QUICK)
    await node.until_ready()
    assert container(await own_cluster.get(pod))["restartCount"] == 0


async def test_pods_of_a_node_that_never_comes_back_end_themselves(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK, "--orphan-grace=1")
    script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    pod = await own_cluster.pod(sh(script), terminationGracePeriodSeconds=1)
    await own_cluster.first_line(pod)
    node.kill()
    assert not eventually(lambda: node.container_processes() or node.shims(), wanted=False, timeout=20)


async def test_exec_of_a_killed_node_is_ended_by_the_next(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    pod = await own_cluster.ready(await own_cluster.pod(sh("sleep 100")))
    (_, attempt), *_ = node.container_processes().items()
    stray = await asyncio.create_subprocess_exec("sleep", "200", env={"KF_SPAWNER_CONTAINER": attempt})
    node.kill()
    node.start(*QUICK)
    assert await asyncio.wait_for(stray.wait(), 10) == -signal.SIGKILL
    assert container(await own_cluster.get(pod))["restartCount"] == 0


async def test_node_stopped_while_it_starts_leaves_no_process(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    pod = await own_cluster.ready(await own_cluster.pod(sh("sleep 100"), restartPolicy="OnFailure"))
    node.kill()
    node.start(*QUICK)
    assert eventually(lambda: node.log.read_text().count("starting") == 2)
    node.stop()
    assert not node.container_processes()
    assert not node.shims()
    node.start(*QUICK)
    await own_cluster.until(pod, lambda now: container(now)["restartCount"] == 1)


async def test_two_nodes_cannot_share_a_folder(own_cluster: Cluster) -> None:
    node = own_cluster.node
    node.start(*QUICK)
    await own_cluster.ready(await own_cluster.pod(sh("sleep 100")))
    first = node.process
    node.start(*QUICK)
    assert node.process is not None
    assert node.process.wait(20) == 2
    assert "another node is running" in node.log.read_text()
    node.process = first


async def test_each_gpu_is_one_containers_and_stays_so(own_cluster: Cluster) -> None:
    """Two GPUs, as an nvidia-smi on PATH shows them: whoever has one keeps it over a node's death."""
    node = own_cluster.node
    tool = node.home / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho '0, NVIDIA A100'\necho '1, NVIDIA A100'\n")
    tool.chmod(0o755)
    node.start(*QUICK)
    await node.until_ready()
    about = await own_cluster.client.get(NODES, node.name)
    assert about["status"]["capacity"]["nvidia.com/gpu"] == "2"
    one = {**sh('echo "$CUDA_VISIBLE_DEVICES"; sleep 100'), "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    first = await own_cluster.pod(one)
    assert await own_cluster.first_line(first) == "0\n"
    node.kill()
    node.start(*QUICK)
    await node.until_ready()
    second, third = await own_cluster.pod(one), await own_cluster.pod(one)
    assert await own_cluster.first_line(second) == "1\n"
    third = await own_cluster.phase(third, "Failed")
    assert third["status"]["reason"] == "OutOfnvidia.com/gpu"
    await own_cluster.delete(first)
    await own_cluster.gone(first)
    assert await own_cluster.first_line(await own_cluster.pod(one)) == "0\n"


async def test_pods_go_on_while_the_api_server_is_away(new_control_plane: ControlPlane, tmp_path: Path) -> None:
    node = LocalNode(new_control_plane, tmp_path / "home", "far")
    node.start(*QUICK)
    config = load_config(new_control_plane.admin_kubeconfig)
    async with Client(config, user_agent="node-tests") as client:
        await make_namespace(client, "away")
        cluster = Cluster(client, node, "away")
        done = await cluster.pod(sh("sleep 1.5; exit 6"), restartPolicy="Never")
        crashing = await cluster.pod(sh("sleep 1; echo again; exit 1"))
        for pod in (done, crashing):
            await cluster.ready(pod)
        new_control_plane.kill("kube-apiserver")
        assert eventually(lambda: (node.attempts(done["metadata"]["uid"], "c0")[0] / "exit.json").exists())
        assert eventually(lambda: len(node.attempts(crashing["metadata"]["uid"], "c0")) == 2)
        await asyncio.to_thread(new_control_plane.start, ["kube-apiserver"])
        done = await cluster.phase(done, "Failed")
        assert ended(done)["exitCode"] == 6
        await cluster.until(crashing, lambda now: container(now)["restartCount"] >= 1)
        new_control_plane.kill("kube-apiserver")
        began = time.monotonic()
        await asyncio.to_thread(node.close)
        assert time.monotonic() - began < 20


@pytest.mark.faults
async def test_node_killed_at_random_moments(own_cluster: Cluster) -> None:
    """Jobs of three tries each, the node killed all the while: all succeed, each start is counted."""
    node = own_cluster.node
    node.start(*QUICK)
    chance = random.Random()
    script = "echo x >> /data/n; sleep 0.2; [ $(wc -l < /data/n) -ge 3 ]"
    pods = [
        await own_cluster.pod(
            {**sh(script), "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            volumes=[{"name": "data", "emptyDir": {}}],
            restartPolicy="OnFailure",
        )
        for _ in range(10)
    ]
    for _ in range(10):
        await asyncio.sleep(chance.uniform(0.1, 1.5))
        node.kill()
        node.start(*QUICK)
    for pod in pods:
        now = await own_cluster.phase(pod, "Succeeded")
        lines = (node.root / "pods" / pod["metadata"]["uid"] / "volumes" / "data" / "n").read_text().split()
        assert len(lines) == container(now)["restartCount"] + 1 == 3


async def test_log_rotates_and_stays_whole(cluster: Cluster) -> None:
    """100 kB a file in this node: 700 kB become more than five files, and the log of those kept has no hole."""
    pod = await cluster.pod(sh("seq -f %0100.0f 1 5000"), restartPolicy="Never")
    await cluster.phase(pod, "Succeeded")
    (attempt,) = cluster.node.attempts(pod["metadata"]["uid"], "c0")
    files = list(attempt.glob("log*"))
    assert len(files) == 5
    assert all(path.stat().st_size < 170_000 for path in files)
    lines = (await cluster.logs(pod)).splitlines()
    assert [int(line) for line in lines] == list(range(5000 - len(lines) + 1, 5001))
    assert len(lines) > 1500


async def test_long_line_is_one_line(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("head -c 50000 /dev/zero | tr '\\0' x; echo; echo end"), restartPolicy="Never")
    await cluster.phase(pod, "Succeeded")
    assert await cluster.logs(pod) == "x" * 50000 + "\nend\n"


async def test_previous_log(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    script = "echo x >> /data/n; wc -l < /data/n; [ $(wc -l < /data/n) = 1 ] && exit 1; sleep 100"
    pod = await cluster.pod({**sh(script), **mount}, volumes=[{"name": "data", "emptyDir": {}}])
    await cluster.until(pod, lambda now: container(now).get("restartCount", 0) == 1)
    assert await cluster.logs(pod, previous=True) == "1\n"
    assert await cluster.first_line(pod) == "2\n"
