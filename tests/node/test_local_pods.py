"""What is our own node's alone of a pod's life: processes, folders, memory, GPUs, its catalogue's words."""

import pytest

from .conftest import LocalPods
from .local_node import eventually
from .pods import container, ended, python, sh, waits

DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"


async def test_names_and_addresses_are_this_nodes(local: LocalPods) -> None:
    pod = await local.ready(await local.pod(sh("sleep 100")))
    assert pod["status"]["hostIP"] == "127.0.0.1"
    assert pod["status"]["podIP"].startswith("127.")
    assert container(pod)["containerID"].startswith("kf-spawner://")
    assert container(pod)["imageID"].startswith("plain@sha256:")


@pytest.mark.parametrize("script", ["(setsid sleep 300 &) ; setsid sleep 301 & exit 0", "sleep 302 & exit 0"])
async def test_what_a_container_leaves_behind_is_killed(local: LocalPods, script: str) -> None:
    pod = await local.phase(await local.pod(sh(script), restartPolicy="Never"), "Succeeded")
    assert not local.node.container_processes(pod["metadata"]["uid"])


async def test_a_deleted_pod_leaves_no_process_and_no_folder(local: LocalPods) -> None:
    pod = await local.ready(await local.pod(sh("trap 'exit 0' TERM; sleep 100 & wait")))
    await local.delete(pod)
    await local.gone(pod)
    uid = pod["metadata"]["uid"]
    assert not local.node.container_processes(uid)
    assert not (local.node.root / "pods" / uid).exists()


async def test_a_forced_deletion_leaves_no_process_and_no_folder(local: LocalPods) -> None:
    pod = await local.pod(sh(DEAF))
    await local.first_line(pod)
    await local.delete(pod, grace_period=0)
    uid = pod["metadata"]["uid"]
    assert not eventually(lambda: local.node.container_processes(uid), wanted=False)
    assert not eventually((local.node.root / "pods" / uid).exists, wanted=False)


async def test_a_pod_of_the_same_name_has_processes_of_its_own(local: LocalPods) -> None:
    first = await local.ready(await local.pod(sh("sleep 100"), name="twin"))
    await local.delete(first, grace_period=0)
    second = await local.ready(await local.pod(sh("sleep 100"), name="twin"))
    uid = first["metadata"]["uid"]
    assert not eventually(lambda: local.node.container_processes(uid), wanted=False)
    assert local.node.container_processes(second["metadata"]["uid"])


async def test_too_many_gpus_are_refused(local: LocalPods) -> None:
    pod = await local.pod(sh("sleep 100", resources={"limits": {"nvidia.com/gpu": "99"}}))
    pod = await local.phase(pod, "Failed")
    assert pod["status"]["reason"] == "OutOfnvidia.com/gpu"


async def test_containers_without_gpus_see_none(local: LocalPods) -> None:
    pod = await local.pod(sh('echo "[$CUDA_VISIBLE_DEVICES]"'), restartPolicy="Never")
    assert await local.output(pod) == "[]\n"


@pytest.mark.parametrize(
    ("image", "part"),
    [("kf-spawner/nothing:0.1.0", "is not in this node's catalogue"), ("kf-spawner/plain:9.9", "9.9")],
)
async def test_an_image_that_the_catalogue_has_not(local: LocalPods, image: str, part: str) -> None:
    pod = await local.waiting(await local.pod({"image": image}), "ImagePullBackOff")
    assert part in waits(pod)["message"]


async def test_memory_of_a_containers_children_counts_once(local: LocalPods) -> None:
    """Pages that a fork shares are one container's memory once: four processes with 60 MB here."""
    script = """
import os, time
data = bytearray(60 * 1024 * 1024); data[::4096] = b'x' * len(data[::4096])
children = [os.fork(), os.fork()]
time.sleep(1.5)
"""
    pod = await local.pod(python(script, resources={"limits": {"memory": "120Mi"}}), restartPolicy="Never")
    assert ended(await local.over(pod))["reason"] == "Completed"


async def test_memory_of_children_counts(local: LocalPods) -> None:
    script = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        data = bytearray(60 * 1024 * 1024); data[::4096] = b'x' * len(data[::4096])
        break
time.sleep(60)
"""
    pod = await local.pod(python(script, resources={"limits": {"memory": "120Mi"}}), restartPolicy="Never")
    pod = await local.over(pod)
    assert ended(pod)["reason"] == "OOMKilled"
    assert not local.node.container_processes(pod["metadata"]["uid"])


async def test_memory_of_what_went_into_the_background_counts(local: LocalPods) -> None:
    """A process whose parent has ended is still its container's."""
    script = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        data = bytearray(180 * 1024 * 1024); data[::4096] = b'x' * len(data[::4096])
        time.sleep(60)
    os._exit(0)
os.wait()
time.sleep(60)
"""
    pod = await local.pod(python(script, resources={"limits": {"memory": "120Mi"}}), restartPolicy="Never")
    pod = await local.over(pod)
    assert ended(pod)["reason"] == "OOMKilled"
    assert not local.node.container_processes(pod["metadata"]["uid"])


async def test_a_log_rotates_and_stays_whole(local: LocalPods) -> None:
    """100 kB a file in this node: 500 kB become five files and the log of those kept has no hole."""
    pod = await local.over(await local.pod(sh("seq -f %0100.0f 1 5000"), restartPolicy="Never"))
    (attempt,) = local.node.attempts(pod["metadata"]["uid"], "c0")
    files = list(attempt.glob("log*"))
    assert len(files) == 5
    assert all(path.stat().st_size < 170_000 for path in files)
    lines = (await local.logs(pod)).splitlines()
    assert [int(line) for line in lines] == list(range(5000 - len(lines) + 1, 5001))
    assert len(lines) > 1500
