"""Commands in a running container, asked for with the real kubectl."""

import asyncio
import os
import pty
import subprocess

import pytest

from tests.node.pods import DATA, Pods, python, sh, with_data

COMMANDS = {
    # name: (words, input, exit code, output, part of the errors)
    "output": (["echo", "a  b"], None, 0, "a  b\n", ""),
    "errors": (["sh", "-c", "echo no >&2"], None, 0, "", "no\n"),
    "exit-code": (["sh", "-c", "exit 3"], None, 3, "", "command terminated with exit code 3"),
    "a-signal": (["sh", "-c", "kill -9 $$"], None, 137, "", "command terminated with exit code 137"),
    "environment": (["sh", "-c", "echo $WORD $HOSTNAME"], None, 0, "please POD\n", ""),
    "volume": (["sh", "-c", "echo x > /data/f; cat /data/f"], None, 0, "x\n", ""),
    "directory": (["sh", "-c", "pwd | grep -o data/below"], None, 0, "data/below\n", ""),
    "large": (["sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"], None, 0, "x" * 1_000_000, ""),
    "input": (["wc", "-c"], b"x" * 300_000, 0, "300000\n", ""),
    "no-such-program": (
        ["no-such-program"],
        None,
        None,
        "",
        'exec: "no-such-program": executable file not found in $PATH',
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_command(pods: Pods, name: str) -> None:
    words, given, code, said, errors = COMMANDS[name]
    env = [{"name": "WORD", "value": "please"}]
    pod = await pods.pod(with_data(sh("sleep 100", env=env, workingDir="/data/below")), **DATA)
    await pods.running(pod)
    interactive = ["-i"] if given else []
    found = await pods.kubectl("exec", *interactive, pod["metadata"]["name"], "--", *words, stdin=given)
    assert found[0] == code if code is not None else found[0] != 0
    assert found[1] == said.replace("POD", pod["metadata"]["name"])
    assert errors in found[2]


async def test_in_a_terminal(pods: Pods) -> None:
    pod = await pods.running(await pods.pod(sh("sleep 100")))
    outer, inner = pty.openpty()
    script = "tty -s && read word && echo got $word"
    try:
        process = await asyncio.create_subprocess_exec(
            *pods.argv("exec", "-it", pod["metadata"]["name"], "--", "sh", "-c", script),
            stdin=inner,
            stdout=inner,
            stderr=subprocess.DEVNULL,
        )
        os.write(outer, b"typed\n")
        async with asyncio.timeout(60):
            assert await process.wait() == 0
            seen = b""
            while b"got typed" not in seen:
                seen += await asyncio.to_thread(os.read, outer, 1000)
    finally:
        os.close(outer)
        os.close(inner)


async def test_in_the_container_that_is_named(pods: Pods) -> None:
    parts = [sh("sleep 100", env=[{"name": "WHO", "value": who}]) for who in ("first", "second")]
    pod = await pods.ready(await pods.pod(*parts))
    assert await pods.run(pod, "sh", "-c", "echo $WHO", name="c0") == "first\n"
    assert await pods.run(pod, "sh", "-c", "echo $WHO", name="c1") == "second\n"


async def test_in_an_init_container(pods: Pods) -> None:
    pod = await pods.running(await pods.pod(sh("true"), init=[sh("sleep 100")]), "init0")
    assert await pods.run(pod, "echo", "here", name="init0") == "here\n"


async def test_not_in_a_container_that_has_ended(pods: Pods) -> None:
    pod = await pods.over(await pods.pod(sh("exit 0"), restartPolicy="Never"))
    code, _, errors = await pods.kubectl("exec", pod["metadata"]["name"], "--", "true")
    assert code == 1
    assert "cannot exec into a container in a completed pod" in errors


async def test_it_ends_with_its_container(pods: Pods) -> None:
    wait = "import os, time\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.1)"
    part = python(wait, env=[{"name": "GO", "value": "/data/go"}])
    pod = await pods.running(await pods.pod(with_data(part), restartPolicy="Never", **DATA))
    name = pod["metadata"]["name"]
    code, _, _ = await pods.kubectl("exec", name, "--", "sh", "-c", "touch /data/go; sleep 600")
    assert code == 137
