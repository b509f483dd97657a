"""Following jobs that run on a real node: states, lines of all replicas, the end; and through kills."""

import asyncio
import contextlib

from tests.fixtures.jupyter_server import run_server
from tests.fixtures.platform import PLAIN_IMAGE, Platform

COUNT = """
import os, sys, time
for number in range({count}):
    print("line", number, flush=True)
    time.sleep({pause})
sys.exit({code})
"""

# The end of worker 0 is the job's: it waits for worker 1, which leaves a file on the home volume.
TOGETHER = """
import json, os, pathlib, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
for number in range(5):
    print("line", number)
done = pathlib.Path.home() / "done"
while index == 0 and not done.exists():
    time.sleep(0.05)
done.touch()
"""


async def submit(server, name="job", *, count=3, pause=0.0, code=0, **options):
    body = {"name": name, "program": COUNT.format(count=count, pause=pause, code=code), "home_claim": None, **options}
    status, answer = await server.call("POST", "tfjobs", json={"program": body})
    assert status == 201, answer


async def story(server, name="job", timeout=120):
    items = []
    async with asyncio.timeout(timeout):
        async for item in server.stream(f"tfjobs/{name}/watch"):
            items.append(item)
    return items


def lines(items, replica):
    return [item["line"] for item in items if item.get("replica") == replica and "line" in item]


async def test_the_story_of_a_job(live_server):
    # Worker 1 may still be ending when the job is done: its log is to be read all the same.
    options = {"replicas": {"worker": 2}, "run_policy": {"cleanPodPolicy": "None"}}
    status, answer = await live_server.call(
        "POST", "tfjobs", json={"program": {"name": "job", "program": TOGETHER, **options}}
    )
    assert status == 201, answer
    items = await story(live_server)
    states = [item["state"] for item in items if item["type"] == "status"]
    assert states[-1] == "Succeeded"
    assert items[-1]["type"] == "end"
    assert items[-1]["state"] == "Succeeded"
    for replica in ("worker-0", "worker-1"):
        assert lines(items, replica) == [f"line {number}" for number in range(5)]
    again = [item async for item in live_server.stream("tfjobs/job/logs?replica=worker-1")]
    assert lines(again, "worker-1") == [f"line {number}" for number in range(5)]
    assert {item["replica"] for item in again} == {"worker-1"}
    async with asyncio.timeout(60):  # events are written after the deed
        while not {"Pulled", "Started"} <= await reasons(live_server):
            await asyncio.sleep(0.1)


async def reasons(server) -> set[str]:
    status, answer = await server.call("GET", "tfjobs/job/events")
    assert status == 200, answer
    return {item["reason"] for item in answer["items"]}


async def test_events_are_told_as_they_happen(live_server):
    """The job runs on until it has been heard of them."""
    await submit(live_server, count=3000, pause=0.1)
    wanted = {"SuccessfulCreatePod", "Started"}
    async with asyncio.timeout(120), contextlib.aclosing(live_server.stream("tfjobs/job/watch")) as items:
        while wanted:
            item = await anext(items)
            wanted -= {item["reason"]} if item["type"] == "event" else set()
    assert (await live_server.call("DELETE", "tfjobs/job"))[0] == 202


async def test_a_failed_replica_is_named_with_its_exit_code(live_server):
    await submit(live_server, code=3)
    end = (await story(live_server))[-1]
    assert (end["type"], end["state"]) == ("end", "Failed")
    assert [(one["replica"], one["state"], one["exit_code"]) for one in end["replicas"]] == [
        ("worker-0", "Failed", 3)
    ]


async def test_an_image_that_is_not_there_is_said_while_it_is_awaited(live_server):
    await submit(live_server, image="nobody/has-this:1")
    said = ""
    async with asyncio.timeout(120), contextlib.aclosing(live_server.stream("tfjobs/job/watch")) as items:
        while "nobody/has-this:1" not in said:  # before that it waits for its container to be made
            item = await anext(items)
            if item["type"] == "status" and item["replicas"] and item["replicas"][0]["state"] == "Waiting":
                said = item["replicas"][0]["message"]
    await live_server.call("DELETE", "tfjobs/job")


async def test_a_volume_that_is_not_there_is_said_while_it_is_awaited(live_server):
    """A kubelet says it in events alone."""
    container = {"name": "tensorflow", "image": PLAIN_IMAGE, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    pod = {"containers": [container], "volumes": [{"name": "v", "configMap": {"name": "missing"}}]}
    spec = {"tfReplicaSpecs": {"Worker": {"template": {"spec": pod}}}}
    manifest = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "metadata": {"name": "job"}, "spec": spec}
    status, answer = await live_server.call("POST", "tfjobs", json=manifest)
    assert status == 201, answer
    words = 'waits for a volume: MountVolume.SetUp failed for volume "v" : configmap "missing" not found.'
    async with asyncio.timeout(120), contextlib.aclosing(live_server.stream("tfjobs/job/watch")) as items:
        async for item in items:
            if item["type"] == "status" and any(words in one["message"] for one in item["replicas"]):
                break
    _, view = await live_server.call("GET", "tfjobs/job")
    (replica,) = view["replicas"]
    assert (replica["state"], replica["reason"]) == ("Waiting", "volume cannot be mounted")
    assert words in replica["message"]
    await live_server.call("DELETE", "tfjobs/job")


async def test_a_job_that_is_deleted_ends_its_story(live_server):
    await submit(live_server, count=1000, pause=0.1)
    async with asyncio.timeout(120):
        async for item in live_server.stream("tfjobs/job/watch"):
            if item.get("line") == "line 3":
                assert (await live_server.call("DELETE", "tfjobs/job"))[0] == 202
            last = item
    assert (last["type"], last["state"]) == ("end", "Deleted")


async def test_no_line_is_lost_or_repeated_when_what_carries_it_is_killed(live_server, platform: Platform):
    """The API server, then the node, then the operator die while a job prints and is followed."""
    await submit(live_server, count=100, pause=0.1)
    items = []

    def restart_api_server():
        platform.plane.kill("kube-apiserver")
        platform.plane.start(["kube-apiserver"])

    def restart_node():
        platform.kill("node")
        platform.start_node()

    def restart_operator():
        platform.kill("operator")
        platform.start_operator()

    breaks = {"line 10": restart_api_server, "line 40": restart_node, "line 65": restart_operator}
    running = []
    async with asyncio.timeout(180):
        async for item in live_server.stream("tfjobs/job/watch"):
            items.append(item)
            action = breaks.pop(item.get("line", ""), None)
            if action is not None:
                running.append(asyncio.get_running_loop().run_in_executor(platform.starter, action))
    await asyncio.gather(*running)
    assert breaks == {}
    assert items[-1]["state"] == "Succeeded"
    assert lines(items, "worker-0") == [f"line {number}" for number in range(100)]


async def test_a_quiet_stream_is_kept_alive(live_workspace, tmp_path):
    settings = ("--KubeflowExtension.heartbeat=0.2",)
    async with run_server(live_workspace, tmp_path, variables={"KF_IMAGE": PLAIN_IMAGE}, settings=settings) as server:
        await submit(server, count=2, pause=30)
        async with asyncio.timeout(60), contextlib.aclosing(server.stream("tfjobs/job/watch")) as items:
            while (await anext(items))["type"] != "ping":
                pass
