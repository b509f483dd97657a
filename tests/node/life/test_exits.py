"""How a container ends: exit codes, reasons, what it leaves to be said."""

import pytest

from tests.node.pods import Pods, ended, last, python, sh, waits

CODES = {0: "Completed", 1: "Error", 2: "Error", 42: "Error", 126: "Error", 127: "Error", 255: "Error"}
SIGNALS = {6: 134, 9: 137, 11: 139, 15: 143}


@pytest.mark.parametrize("code", CODES)
async def test_exit_code(pods: Pods, code: int) -> None:
    pod = await pods.over(await pods.pod(sh(f"exit {code}"), restartPolicy="Never"))
    end = ended(pod)
    assert (end["exitCode"], end["reason"]) == (code, CODES[code])
    assert end["startedAt"] <= end["finishedAt"]
    assert end["containerID"]
    assert "message" not in end
    assert "signal" not in end


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_is_128_and_its_number(pods: Pods, number: int) -> None:
    # A shell around it: in a container the first process is spared most signals.
    script = f"python -c 'import os; os.kill(os.getpid(), {number})'; exit $?"
    pod = await pods.over(await pods.pod(sh(script), restartPolicy="Never"))
    end = ended(pod)
    assert (end["exitCode"], end["reason"]) == (SIGNALS[number], "Error")
    assert "signal" not in end


COMMANDS = {
    "no-such-program": (["no-such-program"], 'exec: "no-such-program": executable file not found in $PATH'),
    "no-such-file": (["/no/such/file"], 'exec: "/no/such/file": stat /no/such/file: no such file or directory'),
    "not-executable": (["/etc/passwd"], 'exec: "/etc/passwd": permission denied'),
    "a-directory": (["/etc"], 'exec: "/etc": permission denied'),
}


@pytest.mark.parametrize("name", COMMANDS)
async def test_a_command_that_cannot_start(pods: Pods, name: str) -> None:
    command, said = COMMANDS[name]
    pod = await pods.over(await pods.pod({"command": command}, restartPolicy="Never"))
    assert pod["status"]["phase"] == "Failed"
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (128, "StartError")
    assert said in ended(pod)["message"]
    await pods.event(pod, "Failed", said)
    assert not [event for event in await pods.events(pod) if event[1] == "Started"]


async def test_a_command_that_cannot_start_is_tried_again(pods: Pods) -> None:
    pod = await pods.pod({"command": ["no-such-program"]})
    pod = await pods.waiting(pod, "CrashLoopBackOff")
    assert (last(pod)["exitCode"], last(pod)["reason"]) == (128, "StartError")


async def test_a_working_directory_is_made(pods: Pods) -> None:
    pod = await pods.pod({**sh("pwd; touch here && ls"), "workingDir": "/work/new/folder"}, restartPolicy="Never")
    assert (await pods.output(pod)).splitlines()[-1] == "here"


MESSAGES = {
    # name: (script, policy, message)
    "file": ("echo -n it broke > $LOG; exit 1", "File", "it broke"),
    "success-too": ("echo -n all well > $LOG", "File", "all well"),
    "last-4096-bytes": ("for i in $(seq 1000 2999); do echo -n $i; done > $LOG; exit 1", "File", 1976),
    "nothing": ("echo only in the log; exit 1", "File", ""),
    "from-logs": ("echo a last word; exit 1", "FallbackToLogsOnError", "a last word\n"),
    "file-before-logs": ("echo log; echo -n file > $LOG; exit 1", "FallbackToLogsOnError", "file"),
    "no-logs-on-success": ("echo a last word", "FallbackToLogsOnError", ""),
    "80-lines-of-logs": ("seq 1 200; exit 1", "FallbackToLogsOnError", 121),
}


@pytest.mark.parametrize("name", MESSAGES)
async def test_termination_message(pods: Pods, name: str) -> None:
    script, policy, message = MESSAGES[name]
    if name == "last-4096-bytes":
        message = "".join(map(str, range(message, 3000)))
    elif name == "80-lines-of-logs":
        message = "".join(f"{number}\n" for number in range(message, 201))
    env = [{"name": "LOG", "value": "/dev/termination-log"}]
    pod = await pods.pod({**sh(script), "env": env, "terminationMessagePolicy": policy}, restartPolicy="Never")
    assert ended(await pods.over(pod)).get("message", "") == message


async def test_termination_message_in_a_place_of_its_own(pods: Pods) -> None:
    path = "/tmp/last-words"
    part = {**sh(f"echo -n farewell > {path}; exit 1"), "terminationMessagePath": path}
    pod = await pods.over(await pods.pod(part, restartPolicy="Never"))
    assert ended(pod)["message"] == "farewell"


async def test_what_a_container_leaves_running_ends_with_it(pods: Pods) -> None:
    script = "(setsid sh -c 'sleep 1; echo still here' &); exit 0"
    part = sh("sleep 2.5; exit 0")
    pod = await pods.pod(sh(script), part, restartPolicy="Never")
    pod = await pods.phase(pod, "Succeeded")
    assert await pods.logs(pod) == ""


async def test_over_its_memory_limit_a_container_is_killed(pods: Pods) -> None:
    script = "import time; hog = bytearray(300 * 2**20); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(100)"
    part = python(script, resources={"limits": {"memory": "100Mi"}})
    pod = await pods.over(await pods.pod(part, restartPolicy="Never"))
    assert pod["status"]["phase"] == "Failed"
    assert (ended(pod)["exitCode"], ended(pod)["reason"]) == (137, "OOMKilled")


async def test_a_container_killed_for_its_memory_starts_again(pods: Pods) -> None:
    script = "import time; hog = bytearray(300 * 2**20); hog[::4096] = b'x' * len(hog[::4096]); time.sleep(100)"
    pod = await pods.pod(python(script, resources={"limits": {"memory": "100Mi"}}))
    pod = await pods.waiting(pod, "CrashLoopBackOff")
    assert last(pod)["reason"] == "OOMKilled"
    assert waits(pod)["message"].startswith("back-off ")


async def test_within_its_memory_limit_a_container_goes_on(pods: Pods) -> None:
    part = python("data = b'x' * (40 * 2**20)", resources={"limits": {"memory": "200Mi"}})
    pod = await pods.over(await pods.pod(part, restartPolicy="Never"))
    assert ended(pod)["reason"] == "Completed"


async def test_an_active_deadline_ends_the_pod(pods: Pods) -> None:
    said = "Pod was active on the node longer than the specified deadline"
    script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done"
    pod = await pods.pod(sh(script), activeDeadlineSeconds=10)
    pod = await pods.phase(pod, "Failed")
    assert (pod["status"]["reason"], pod["status"]["message"]) == ("DeadlineExceeded", said)
    assert ended(pod)["exitCode"] == 5  # the phase comes with the containers' end, not before
    assert (await pods.event(pod, "DeadlineExceeded"))[0] == "Normal"
