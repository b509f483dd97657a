"""Startup, readiness and liveness probes: what they ask, and what follows."""

import pytest

from tests.node.pods import DATA, Pods, about, condition, container, last, python, sh, with_data

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        words = [self.path, self.headers.get('X-Word', ''), self.headers['User-Agent']]
        print(*words, flush=True)
        if self.path.startswith('/to/'):
            self.send_response(302)
            self.send_header('Location', self.path[3:])
        elif self.path.startswith('/away'):
            self.send_response(302)
            self.send_header('Location', 'http://192.0.2.1/')
        else:
            self.send_response(200 if os.path.exists(DATA + self.path) else 500)
        self.end_headers()
    def log_message(self, *_): pass
DATA = os.environ['DATA']
http.server.HTTPServer((os.environ['LISTEN'], 8000), Handler).serve_forever()
"""
PATIENT = {"periodSeconds": 1, "timeoutSeconds": 30}
"""Asks often, and an answer may take its time: the machine may have other work."""
QUICK = {**PATIENT, "failureThreshold": 1}


def server(**fields: object) -> dict:
    """A container whose web server answers 200 for what is a file in /data, and 500 else."""
    env = [{"name": "DATA", "value": "/data"}, {"name": "LISTEN", "value": "0.0.0.0"}]
    return with_data({**python(SERVER), "env": env, "ports": [{"name": "web", "containerPort": 8000}], **fields})


HTTP = {"httpGet": {"path": "/ok", "port": 8000}}
EXEC = {"exec": {"command": ["test", "-e", "/data/ok"]}}
PROBES = {
    "http": HTTP,
    "http-by-name": {"httpGet": {"path": "/ok", "port": "web"}},
    "http-redirected": {"httpGet": {"path": "/to/ok", "port": 8000}},
    "exec": EXEC,
}


@pytest.mark.parametrize("name", PROBES)
async def test_readiness_follows_its_probe(pods: Pods, name: str) -> None:
    pod = await pods.pod(server(readinessProbe={**PROBES[name], **QUICK}), **DATA)
    assert (await pods.event(pod, "Unhealthy", "Readiness probe failed: "))[0] == "Warning"
    now = await pods.phase(pod, "Running")
    assert about(now, "Ready")["message"] == "containers with unready status: [c0]"
    assert container(now)["started"] is True
    await pods.run(pod, "touch", "/data/ok")
    await pods.ready(pod)
    await pods.run(pod, "rm", "/data/ok")
    now = await pods.until(pod, lambda now: condition(now, "Ready") == "False")
    assert container(now)["restartCount"] == 0
    if name != "exec":
        await pods.event(pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 500")


async def test_a_probe_asks_as_it_is_told(pods: Pods) -> None:
    header = {"name": "X-Word", "value": "please"}
    probe = {"httpGet": {"path": "/ok?a=b", "port": 8000, "httpHeaders": [header]}, "periodSeconds": 1}
    pod = await pods.pod(server(readinessProbe=probe), **DATA)
    await pods.running(pod)
    words = (await pods.first_line(pod)).split()
    assert words[:2] == ["/ok?a=b", "please"]
    assert words[2].startswith("kube-probe/1.")


async def test_a_redirect_to_another_host_is_success_with_a_warning(pods: Pods) -> None:
    probe = {"httpGet": {"path": "/away", "port": 8000}, **QUICK}
    pod = await pods.pod(server(readinessProbe=probe), **DATA)
    await pods.ready(pod)
    kind, _, message = await pods.event(pod, "ProbeWarning")
    assert (kind, message) == ("Warning", "Readiness probe warning: Probe terminated redirects, Response body: ")


async def test_tcp_readiness(pods: Pods) -> None:
    listen = (
        "import os, socket, time; time.sleep(2); s = socket.create_server((os.environ['L'], 8000)); time.sleep(99)"
    )
    probe = {"readinessProbe": {"tcpSocket": {"port": 8000}, **QUICK}}
    pod = await pods.pod({**python(listen), "env": [{"name": "L", "value": "0.0.0.0"}], **probe})
    assert (
        "connection refused" in (await pods.event(pod, "Unhealthy", "Readiness probe failed: dial tcp "))[2].lower()
    )
    await pods.ready(pod)


async def test_failed_liveness_restarts_the_container(pods: Pods) -> None:
    script = "trap 'exit 6' TERM; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["sh", "-c", "echo sick; exit 1"]}, **QUICK, "initialDelaySeconds": 1}
    pod = await pods.restarted(await pods.pod(sh(script, livenessProbe=probe)))
    assert last(pod)["exitCode"] == 6
    await pods.event(pod, "Unhealthy", "Liveness probe failed: sick")
    await pods.event(pod, "Killing", "Container c0 failed liveness probe, will be restarted")


async def test_failed_liveness_in_a_pod_that_never_restarts(pods: Pods) -> None:
    script = "trap 'exit 6' TERM; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["false"]}, **QUICK, "initialDelaySeconds": 1}
    pod = await pods.over(await pods.pod(sh(script, livenessProbe=probe), restartPolicy="Never"))
    assert pod["status"]["phase"] == "Failed"
    assert container(pod)["restartCount"] == 0


async def test_liveness_by_http(pods: Pods) -> None:
    pod = await pods.pod(server(livenessProbe={**HTTP, **PATIENT, "failureThreshold": 2}), **DATA)
    await pods.restarted(pod)
    await pods.event(pod, "Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500")


async def test_a_probes_own_grace_period(pods: Pods) -> None:
    deaf = "trap '' TERM; while :; do sleep 0.1; done"
    probe = {"exec": {"command": ["false"]}, **QUICK, "terminationGracePeriodSeconds": 1}
    pod = await pods.pod(sh(deaf, livenessProbe=probe), terminationGracePeriodSeconds=600)
    pod = await pods.restarted(pod)
    assert last(pod)["exitCode"] == 137


async def test_a_startup_probe_holds_the_others_back(pods: Pods) -> None:
    probes = {
        "startupProbe": {**EXEC, **PATIENT, "failureThreshold": 60},
        "livenessProbe": {"exec": {"command": ["test", "-e", "/data/alive"]}, **QUICK},
    }
    pod = await pods.pod(server(**probes), **DATA)
    await pods.event(pod, "Unhealthy", "Startup probe failed")
    now = await pods.running(pod)
    assert (container(now)["started"], container(now)["ready"], container(now)["restartCount"]) == (False, False, 0)
    await pods.run(pod, "touch", "/data/alive", "/data/ok")
    now = await pods.until(pod, lambda now: container(now).get("started"))
    assert container(now)["restartCount"] == 0


async def test_a_failed_startup_probe_restarts_the_container(pods: Pods) -> None:
    pod = await pods.pod(server(startupProbe={**EXEC, **QUICK}), **DATA)
    await pods.restarted(pod)
    await pods.event(pod, "Killing", "Container c0 failed startup probe, will be restarted")


async def test_a_slow_command_times_out(pods: Pods) -> None:
    probe = {"exec": {"command": ["sleep", "30"]}, **QUICK, "timeoutSeconds": 1}
    pod = await pods.pod(sh("sleep 100", readinessProbe=probe))
    said = 'Readiness probe failed: command timed out: "sleep 30" timed out after 1s'
    await pods.event(pod, "Unhealthy", said)


async def test_a_threshold_of_failures(pods: Pods) -> None:
    """Three failures in a row, so that a single one does nothing: the command fails each second time."""
    script = "if [ -e /data/x ]; then rm /data/x; else touch /data/x; exit 1; fi"
    probe = {"exec": {"command": ["sh", "-c", script]}, **PATIENT, "failureThreshold": 2}
    pod = await pods.pod(with_data(sh("sleep 100", livenessProbe=probe)), **DATA)
    ticks = "import time; time.sleep(6)"
    await pods.running(pod)
    await pods.run(pod, "python", "-c", ticks)
    assert container(await pods.get(pod))["restartCount"] == 0


async def test_a_readiness_probe_counts_its_successes(pods: Pods) -> None:
    probe = {"exec": {"command": ["sh", "-c", "echo x >> /data/asked"]}, **PATIENT, "successThreshold": 3}
    pod = await pods.pod(with_data(sh("sleep 100", readinessProbe=probe)), **DATA)
    await pods.ready(pod)
    assert len((await pods.run(pod, "cat", "/data/asked")).split()) >= 3


async def test_a_command_that_does_not_exist_is_no_health(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100", readinessProbe={"exec": {"command": ["no-such-program"]}, **QUICK}))
    await pods.event(pod, "Unhealthy", "no-such-program")
    assert condition(await pods.running(pod), "Ready") == "False"
