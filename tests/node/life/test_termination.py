"""How a pod is ended from outside: the stop signal, the grace period, hooks, force."""

import time

import pytest

from tests.node.pods import DATA, Pods, condition, container, ended, last, python, sh, waits, with_data

DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"
LOOK = {"metadata": {"finalizers": ["example.org/look"]}}
"""Keeps a pod to be looked at after its end; `pods.let_go` lets it go."""


async def test_a_deleted_pod_gets_its_stop_signal_and_is_gone(pods: Pods) -> None:
    pod = await pods.ready(
        await pods.pod(sh("trap 'exit 0' TERM; echo up; sleep 600 & wait"), terminationGracePeriodSeconds=600)
    )
    await pods.first_line(pod)
    await pods.delete(pod)
    await pods.gone(pod)
    assert await pods.event(pod, "Killing") == ("Normal", "Killing", "Stopping container c0")


@pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (5, "Failed")])
async def test_a_deleted_pod_shows_its_end_before_it_goes(pods: Pods, code: int, phase: str) -> None:
    script = f"trap 'exit {code}' TERM; echo up; while :; do sleep 0.05; done"
    pod = await pods.pod(sh(script), restartPolicy="Always", **LOOK)
    await pods.first_line(pod)
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert (pod["status"]["phase"], ended(pod)["exitCode"]) == (phase, code)
    assert condition(pod, "Ready") == "False"
    await pods.let_go(pod)


async def test_while_it_ends_a_pod_is_not_ready(pods: Pods) -> None:
    probe = {"exec": {"command": ["test", "!", "-e", "/data/ending"]}, "periodSeconds": 1, "failureThreshold": 1}
    script = "trap 'touch /data/ending' TERM; echo up; while :; do sleep 0.1; done"
    pod = await pods.pod(with_data(sh(script, readinessProbe=probe)), terminationGracePeriodSeconds=30, **DATA)
    await pods.ready(pod)
    await pods.first_line(pod)
    await pods.delete(pod)
    pod = await pods.until(pod, lambda now: condition(now, "Ready") == "False")
    assert pod["metadata"]["deletionTimestamp"]
    assert "running" in container(pod)["state"]
    await pods.delete(pod, grace_period=1)


async def test_a_deaf_container_is_killed_after_the_grace_period(pods: Pods) -> None:
    pod = await pods.pod(sh(DEAF), terminationGracePeriodSeconds=2, **LOOK)
    await pods.first_line(pod)
    began = time.monotonic()
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert ended(pod)["exitCode"] == 137
    assert time.monotonic() - began > 1.5
    await pods.let_go(pod)


async def test_a_second_deletion_shortens_the_grace_period(pods: Pods) -> None:
    """With containerd 1.6 behind a kubelet the first one's period was seen to run on: there it is a short one."""
    first = 10 if pods.target.containers else 600
    pod = await pods.pod(sh(DEAF), terminationGracePeriodSeconds=first)
    await pods.first_line(pod)
    await pods.delete(pod)
    await pods.until(pod, lambda now: now["metadata"].get("deletionTimestamp"))
    await pods.delete(pod, grace_period=1)
    await pods.gone(pod)


async def test_a_forced_deletion_is_done_at_once(pods: Pods) -> None:
    pod = await pods.pod(sh(DEAF), terminationGracePeriodSeconds=600)
    await pods.first_line(pod)
    await pods.delete(pod, grace_period=0)
    await pods.gone(pod)


async def test_a_pod_deleted_while_its_image_is_missing_is_gone(pods: Pods) -> None:
    pod = await pods.pod({"image": "kf-spawner/nothing:0.1.0"}, terminationGracePeriodSeconds=600)
    await pods.waiting(pod, "ImagePullBackOff")
    await pods.delete(pod)
    await pods.gone(pod)


async def test_a_pod_deleted_between_two_attempts_is_gone(pods: Pods) -> None:
    pod = await pods.pod(sh("exit 3"), terminationGracePeriodSeconds=600, **LOOK)
    await pods.waiting(pod, "CrashLoopBackOff")
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert pod["status"]["phase"] == "Failed"
    await pods.let_go(pod)


async def test_a_pod_deleted_while_it_initializes(pods: Pods) -> None:
    script = "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done"
    pod = await pods.pod(sh("true"), init=[sh(script)], **LOOK)
    await pods.first_line(pod, "init0")
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert pod["status"]["phase"] == "Failed"
    assert ended(pod, "init0")["exitCode"] == 4
    await pods.let_go(pod)


# Hooks


async def test_post_start_runs_beside_the_container(pods: Pods) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo hooked > /data/hook"]}}}
    pod = await pods.ready(await pods.pod(with_data(sh("sleep 100", lifecycle=hook)), **DATA))
    assert await pods.run(pod, "cat", "/data/hook") == "hooked\n"


async def test_a_container_runs_once_its_post_start_is_done(pods: Pods) -> None:
    wait = "until [ -e /data/go ]; do sleep 0.1; done; touch /data/done"
    hook = {"postStart": {"exec": {"command": ["sh", "-c", wait]}}}
    helper = with_data(sh("sleep 2; touch /data/go; sleep 100"))
    pod = await pods.pod(helper, with_data(sh("sleep 100", lifecycle=hook)), **DATA)
    pod = await pods.running(pod, "c1")
    assert await pods.run(pod, "ls", "/data") == "done\ngo\n"


async def test_a_failed_post_start_ends_the_container(pods: Pods) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 1"]}}}
    pod = await pods.pod(sh("trap 'exit 7' TERM; while :; do sleep 0.1; done", lifecycle=hook))
    assert await pods.event(pod, "FailedPostStartHook") == ("Warning", "FailedPostStartHook", "PostStartHook failed")
    await pods.event(pod, "Killing", "FailedPostStartHook")
    pod = await pods.waiting(pod, "PostStartHookError")
    assert "no luck" in waits(pod)["message"]
    pod = await pods.restarted(pod)
    assert last(pod)["exitCode"] in (7, 137, 143)


SAY = "trap '[ -e /data/hook ] && exit 8; exit 9' TERM; echo up; while :; do sleep 0.05; done"


async def test_pre_stop_runs_before_the_stop_signal(pods: Pods) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /data/hook"]}}}
    pod = await pods.pod(with_data(sh(SAY, lifecycle=hook)), restartPolicy="Never", **DATA, **LOOK)
    assert await pods.first_line(pod) == "up\n"
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert ended(pod)["exitCode"] == 8
    await pods.let_go(pod)


async def test_pre_stop_may_sleep(pods: Pods) -> None:
    hook = {"preStop": {"sleep": {"seconds": 2}}}
    script = "trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done"
    pod = await pods.pod(sh(script, lifecycle=hook), terminationGracePeriodSeconds=20, **LOOK)
    await pods.first_line(pod)
    began = time.monotonic()
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert ended(pod)["exitCode"] == 3
    assert time.monotonic() - began > 1.5
    await pods.let_go(pod)


HTTP = """
import http.server, os, signal, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        os.mkdir(DATA + self.path)
        self.send_response(500)
        self.end_headers()
    def log_message(self, *_): pass
def end(*_):
    os._exit(8 if os.path.exists(DATA + '/asked') else 9)
DATA = os.environ['DATA']
signal.signal(signal.SIGTERM, end)
server = http.server.HTTPServer((os.environ['LISTEN'], 8000), Handler)
print('up', flush=True)
server.serve_forever()
"""


async def test_a_hook_by_http_is_done_whatever_the_answer_is(pods: Pods) -> None:
    hook = {"preStop": {"httpGet": {"path": "/asked", "port": 8000}}}
    env = [{"name": "DATA", "value": "/data"}, {"name": "LISTEN", "value": "0.0.0.0"}]
    pod = await pods.pod(with_data({**python(HTTP), "env": env, "lifecycle": hook}), **DATA, **LOOK)
    await pods.first_line(pod)
    await pods.delete(pod)
    pod = await pods.over(pod)
    assert ended(pod)["exitCode"] == 8
    assert not [event for event in await pods.events(pod) if event[1] == "FailedPreStopHook"]
    await pods.let_go(pod)


async def test_a_failed_pre_stop_does_not_keep_the_pod(pods: Pods) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "exit 1"]}}}
    pod = await pods.pod(sh("trap 'exit 0' TERM; echo up; sleep 100 & wait", lifecycle=hook))
    await pods.first_line(pod)
    await pods.delete(pod)
    assert await pods.event(pod, "FailedPreStopHook") == ("Warning", "FailedPreStopHook", "PreStopHook failed")
    await pods.gone(pod)


async def test_an_endless_pre_stop_is_bounded_by_the_grace_period(pods: Pods) -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "100"]}}}
    pod = await pods.pod(sh("sleep 100", lifecycle=hook), terminationGracePeriodSeconds=1)
    pod = await pods.ready(pod)
    await pods.delete(pod)
    await pods.gone(pod)
