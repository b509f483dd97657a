"""Logs: every option that the API has for them."""

import asyncio
import re

import pytest

from kf_spawner.kube import ApiError
from tests.node.pods import DATA, Pods, sh, with_data

SCRIPT = "echo one; echo two; sleep 2.2; echo three; printf four"
RAW = {
    # name: (query, what comes)
    "all": ("", "one\ntwo\nthree\nfour"),
    "tail-1": ("tailLines=1", "four"),
    "tail-2": ("tailLines=2", "three\nfour"),
    "tail-0": ("tailLines=0", ""),
    "tail-more": ("tailLines=99", "one\ntwo\nthree\nfour"),
    "limit": ("limitBytes=5", "one\nt"),
    "limit-more": ("limitBytes=999", "one\ntwo\nthree\nfour"),
    "tail-and-limit": ("tailLines=2&limitBytes=2", "th"),
    "since-long-ago": ("sinceSeconds=3600", "one\ntwo\nthree\nfour"),
    "since-the-future": ("sinceTime=2999-01-01T00:00:00Z", ""),
    "not-previous": ("previous=false", "one\ntwo\nthree\nfour"),
}


async def raw(pods: Pods, pod: dict, query: str) -> str:
    path = f"/api/v1/namespaces/{pods.namespace}/pods/{pod['metadata']['name']}/log?{query}"
    code, out, err = await pods.kubectl("get", "--raw", path)
    assert code == 0, err
    return out


@pytest.mark.parametrize("name", RAW)
async def test_option(pods: Pods, name: str) -> None:
    query, said = RAW[name]
    pod = await pods.over(await pods.pod(sh(SCRIPT.replace("2.2", "0.1")), restartPolicy="Never"))
    assert await raw(pods, pod, query) == said


async def test_time_stamps_and_since(pods: Pods) -> None:
    pod = await pods.over(await pods.pod(sh(SCRIPT), restartPolicy="Never"))
    lines = (await raw(pods, pod, "timestamps=true")).splitlines()
    assert [line.split(" ", 1)[1] for line in lines] == ["one", "two", "three", "four"]
    stamps = [line.split(" ", 1)[0] for line in lines]
    assert stamps == sorted(stamps)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", stamp) for stamp in stamps)
    # Whole seconds are what the API takes: the pause in between is longer than that.
    assert await raw(pods, pod, f"sinceTime={stamps[2][:19]}Z") == "three\nfour"


async def test_followed_to_the_end(pods: Pods) -> None:
    script = "echo one; until [ -e /data/go ]; do sleep 0.1; done; echo two"
    pod = await pods.pod(with_data(sh(script)), restartPolicy="Never", **DATA)
    await pods.running(pod)
    lines = pods.client.log_lines(pods.namespace, pod["metadata"]["name"], "c0", follow=True)
    async with asyncio.timeout(60):
        assert (await anext(lines)).data == b"one\n"
        await pods.run(pod, "touch", "/data/go")
        assert [line.data async for line in lines] == [b"two\n"]


async def test_followed_from_the_tail(pods: Pods) -> None:
    pod = await pods.pod(sh("seq 1 50; sleep 100"), restartPolicy="Never")
    await pods.running(pod)
    async with asyncio.timeout(60):
        while not (await pods.logs(pod)).endswith("50\n"):
            await asyncio.sleep(0.1)
        lines = pods.client.log_lines(pods.namespace, pod["metadata"]["name"], "c0", follow=True, tail_lines=2)
        assert [(await anext(lines)).data, (await anext(lines)).data] == [b"49\n", b"50\n"]
    await lines.aclose()


async def test_each_container_has_its_own(pods: Pods) -> None:
    pod = await pods.over(await pods.pod(sh("echo first"), sh("echo second"), restartPolicy="Never"))
    assert await pods.logs(pod, "c0") == "first\n"
    assert await pods.logs(pod, "c1") == "second\n"


async def test_a_long_line_is_one_line(pods: Pods) -> None:
    pod = await pods.pod(sh("head -c 50000 /dev/zero | tr '\\0' x; echo; echo end"), restartPolicy="Never")
    assert await pods.output(pod) == "x" * 50000 + "\nend\n"


async def test_bytes_that_are_no_text(pods: Pods) -> None:
    pod = await pods.over(await pods.pod(sh("printf '\\377\\001 a\\rb\\n'"), restartPolicy="Never"))
    lines = pods.client.logs(pods.namespace, pod["metadata"]["name"], "c0")
    assert b"".join([line async for line in lines]) == b"\xff\x01 a\rb\n"


REFUSED = {
    # name: (container, query, words)
    "no-such-container": ("nobody", "", "container nobody is not valid for pod POD"),
    "no-previous": ("c0", "previous=true", 'previous terminated container "c0" in pod "POD" not found'),
    "negative-tail": ("c0", "tailLines=-1", "tailLines"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(pods: Pods, name: str) -> None:
    container, query, words = REFUSED[name]
    pod = await pods.running(await pods.pod(sh("echo x; sleep 100")))
    path = f"/api/v1/namespaces/{pods.namespace}/pods/{pod['metadata']['name']}/log?container={container}&{query}"
    with pytest.raises(ApiError) as caught:
        await pods.client.request("GET", path)
    assert words.replace("POD", pod["metadata"]["name"]) in str(caught.value)


WAITING = {
    "image": ({"image": "kf-spawner/nothing:0.1.0"}, "ImagePullBackOff", "trying and failing to pull image"),
    "config": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]},
        "CreateContainerConfigError",
        "CreateContainerConfigError",
    ),
}


@pytest.mark.parametrize("name", WAITING)
async def test_of_a_container_that_waits(pods: Pods, name: str) -> None:
    fields, reason, words = WAITING[name]
    pod = await pods.waiting(await pods.pod(sh("true", **fields)), reason)
    with pytest.raises(ApiError) as caught:
        await pods.logs(pod)
    said = f'container "c0" in pod "{pod["metadata"]["name"]}" is waiting to start: {words}'
    assert said in str(caught.value)


async def test_of_a_pod_that_initializes(pods: Pods) -> None:
    pod = await pods.running(await pods.pod(sh("true"), init=[sh("sleep 100")]), "init0")
    with pytest.raises(ApiError, match="is waiting to start: PodInitializing"):
        await pods.logs(pod)
