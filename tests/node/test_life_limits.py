"""What a pod on the real node may not have or use: kinds, CPU, GPUs, memory, time."""

import pytest

from .conftest import Cluster, ended, python, sh


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "h", "hostPath": {"path": "/etc"}}]}, "hostPath"),
        ({"securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "0"}]}}, "sysctls"),
    ],
)
async def test_what_a_process_cannot_have_is_refused(cluster: Cluster, spec: dict, word: str) -> None:
    pod = await cluster.phase(await cluster.pod(sh("sleep 100"), **spec), "Failed")
    assert pod["status"]["reason"] == "NotSupported"
    assert word in pod["status"]["message"]
    assert (await cluster.event(pod, "NotSupported"))[0] == "Warning"


async def test_grpc_probe_is_refused(cluster: Cluster) -> None:
    pod = await cluster.pod({**sh("sleep 100"), "livenessProbe": {"grpc": {"port": 1}}})
    pod = await cluster.phase(pod, "Failed")
    assert "grpc" in pod["status"]["message"]


async def test_too_much_cpu_is_refused(cluster: Cluster) -> None:
    pod = await cluster.pod({**sh("sleep 100"), "resources": {"requests": {"cpu": "1000"}}})
    pod = await cluster.phase(pod, "Failed")
    assert pod["status"]["reason"] == "OutOfcpu"
    assert "requested: 1000000" in pod["status"]["message"]


async def test_too_many_gpus_are_refused(cluster: Cluster) -> None:
    pod = await cluster.pod({**sh("sleep 100"), "resources": {"limits": {"nvidia.com/gpu": "99"}}})
    pod = await cluster.phase(pod, "Failed")
    assert pod["status"]["reason"] == "OutOfnvidia.com/gpu"


async def test_containers_without_gpus_see_none(cluster: Cluster) -> None:
    pod = await cluster.pod(sh('echo "[$CUDA_VISIBLE_DEVICES]"'), restartPolicy="Never")
    await cluster.phase(pod, "Succeeded")
    assert await cluster.logs(pod) == "[]\n"


async def test_active_deadline_ends_the_pod(cluster: Cluster) -> None:
    pod = await cluster.pod(sh("sleep 100"), activeDeadlineSeconds=2)
    pod = await cluster.phase(pod, "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert ended(pod)["exitCode"] == 143  # the phase comes with the containers' end, not before


async def test_over_its_memory_limit_a_container_is_killed(cluster: Cluster) -> None:
    script = "import time; hog = bytearray(200 * 1024 * 1024); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(100)"
    pod = await cluster.pod({**python(script), "resources": {"limits": {"memory": "100Mi"}}}, restartPolicy="Never")
    pod = await cluster.phase(pod, "Failed")
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "OOMKilled")


async def test_memory_of_a_containers_children_counts_once(cluster: Cluster) -> None:
    """Pages that a fork shares are one container's memory once: four processes with 60 MB here."""
    script = """
import os, time
data = bytearray(60 * 1024 * 1024); data[::4096] = b'x' * len(data[::4096])
children = [os.fork(), os.fork()]
time.sleep(1.5)
"""
    pod = await cluster.pod({**python(script), "resources": {"limits": {"memory": "120Mi"}}}, restartPolicy="Never")
    pod = await cluster.until(pod, lambda now: now["status"].get("phase") in ("Succeeded", "Failed"))
    assert ended(pod)["reason"] == "Completed"


async def test_memory_of_children_counts(cluster: Cluster) -> None:
    script = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        data = bytearray(60 * 1024 * 1024); data[::4096] = b'x' * len(data[::4096])
        break
time.sleep(60)
"""
    pod = await cluster.pod({**python(script), "resources": {"limits": {"memory": "120Mi"}}}, restartPolicy="Never")
    pod = await cluster.phase(pod, "Failed")
    assert ended(pod)["reason"] == "OOMKilled"
    assert not cluster.node.container_processes(pod["metadata"]["uid"])
