"""How pods end on the real node: deletion, grace, hooks, probes."""

import asyncio
import time

import pytest

from kf_spawner.kube.resources import CONFIGMAPS, PODS

from .conftest import Cluster, condition, container, ended, eventually, python, sh

SERVER = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = '/data' + self.path
        self.send_response(200 if os.path.exists(DATA + self.path) else 500)
        self.end_headers()
    def log_message(self, *_): pass
DATA = os.environ['DATA']
http.server.HTTPServer((os.environ['LISTEN'], 8000), Handler).serve_forever()
"""


def server(**fields: object) -> dict:
    """A container whose web server answers 200 for what is a file in /data, and 500 else."""
    env = [{"name": "DATA", "value": "/data"}, {"name": "LISTEN", "value": "0.0.0.0"}]
    mounts = [{"name": "data", "mountPath": "/data"}]
    return {**python(SERVER), "env": env, "volumeMounts": mounts, **fields}


DEAF = "trap '' TERM; echo up; while :; do sleep 0.1; done"
LOOK = "example.org/look"  # a finalizer that keeps a pod to be looked at after its end
DATA = {"volumes": [{"name": "data", "emptyDir": {}}]}


def data(cluster: Cluster, pod: dict):  # type: ignore[no-untyped-def]
    return cluster.node.root / "pods" / pod["metadata"]["uid"] / "volumes" / "data"


async def let_go(cluster: Cluster, pod: dict) -> None:
    patch = {"metadata": {"finalizers": None}}
    await cluster.client.patch(PODS, pod["metadata"]["name"], patch, cluster.namespace)
    await cluster.gone(pod)


async def test_deleted_pod_gets_its_stop_signal_and_is_gone(cluster: Cluster) -> None:
    pod = await cluster.ready(await cluster.pod(sh("trap 'exit 0' TERM; sleep 100 & wait"), restartPolicy="Never"))
    began = time.monotonic()
    await cluster.delete(pod)
    await cluster.gone(pod)
    assert time.monotonic() - began < 3
    uid = pod["metadata"]["uid"]
    assert not cluster.node.container_processes(uid)
    assert not (cluster.node.root / "pods" / uid).exists()
    await cluster.event(pod, "Killing", "Stopping container c0")


async def test_deleted_pod_shows_its_end_before_it_goes(cluster: Cluster) -> None:
    script = "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"
    pod = await cluster.pod(sh(script), restartPolicy="Never", metadata={"finalizers": [LOOK]})
    await cluster.first_line(pod)
    await cluster.delete(pod)
    pod = await cluster.phase(pod, "Failed")
    assert ended(pod)["exitCode"] == 5
    await let_go(cluster, pod)


async def test_deaf_container_is_killed_after_the_grace_period(cluster: Cluster) -> None:
    pod = await cluster.pod(sh(DEAF), terminationGracePeriodSeconds=1)
    await cluster.first_line(pod)
    began = time.monotonic()
    await cluster.delete(pod)
    await cluster.gone(pod)
    assert 0.9 < time.monotonic() - began < 4


async def test_second_deletion_shortens_the_grace_period(cluster: Cluster) -> None:
    pod = await cluster.pod(sh(DEAF), terminationGracePeriodSeconds=60)
    await cluster.first_line(pod)
    await cluster.delete(pod)
    await cluster.until(pod, lambda now: now["metadata"].get("deletionTimestamp"))
    await cluster.delete(pod, grace_period=1)
    await cluster.gone(pod, timeout=6)


async def test_forced_deletion_leaves_no_process(cluster: Cluster) -> None:
    pod = await cluster.pod(sh(DEAF))
    await cluster.first_line(pod)
    await cluster.delete(pod, grace_period=0)
    uid = pod["metadata"]["uid"]
    assert not eventually(lambda: cluster.node.container_processes(uid), wanted=False)
    assert not eventually((cluster.node.root / "pods" / uid).exists, wanted=False)


async def test_pod_of_the_same_name_is_another_pod(cluster: Cluster) -> None:
    first = await cluster.ready(await cluster.pod(sh("sleep 100"), name="twin"))
    await cluster.delete(first, grace_period=0)
    second = await cluster.ready(await cluster.pod(sh("sleep 100"), name="twin"))
    uid = first["metadata"]["uid"]
    assert not eventually(lambda: cluster.node.container_processes(uid), wanted=False)
    assert cluster.node.container_processes(second["metadata"]["uid"])


async def test_pod_deleted_while_it_waits_is_gone(cluster: Cluster) -> None:
    pod = await cluster.pod({"image": "kf-spawner/nothing:0.1.0"})
    await cluster.event(pod, "BackOff")
    await cluster.delete(pod)
    await cluster.gone(pod)


async def test_post_start_hook_runs_beside_the_container(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo hooked > /data/hook"]}}}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    pod = await cluster.ready(await cluster.pod({**sh("sleep 100"), **mount, "lifecycle": hook}, **DATA))
    assert (data(cluster, pod) / "hook").read_text() == "hooked\n"


async def test_failed_post_start_hook_ends_the_container(cluster: Cluster) -> None:
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo no luck; exit 1"]}}}
    pod = await cluster.pod({**sh("sleep 100"), "lifecycle": hook})
    assert "no luck" in (await cluster.event(pod, "FailedPostStartHook"))[2]
    pod = await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 1)


async def test_pre_stop_hook_runs_before_the_stop_signal(cluster: Cluster) -> None:
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /data/hook"]}}}
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    script = "trap '[ -e /data/hook ] && exit 8; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    pod = await cluster.pod(
        {**sh(script), **mount, "lifecycle": hook}, metadata={"finalizers": [LOOK]}, restartPolicy="Never", **DATA
    )
    assert await cluster.first_line(pod) == "up\n"
    await cluster.delete(pod)
    pod = await cluster.phase(pod, "Failed")
    assert ended(pod)["exitCode"] == 8
    await let_go(cluster, pod)


async def test_endless_pre_stop_hook_is_bounded_by_the_grace_period(cluster: Cluster) -> None:
    hook = {"preStop": {"exec": {"command": ["sleep", "100"]}}}
    pod = await cluster.pod({**sh("sleep 100"), "lifecycle": hook}, terminationGracePeriodSeconds=1)
    pod = await cluster.ready(pod)
    await cluster.delete(pod)
    await cluster.gone(pod, timeout=8)
    await cluster.event(pod, "FailedPreStopHook")


PROBES = {
    "http": {"httpGet": {"path": "/ok", "port": 8000}},
    "http-by-name": {"httpGet": {"path": "/ok", "port": "web"}},
    "exec": {"exec": {"command": ["test", "-e", "/data/ok"]}},
}
QUICK = {"periodSeconds": 1, "failureThreshold": 1}


@pytest.mark.parametrize("name", PROBES)
async def test_readiness_follows_its_probe(cluster: Cluster, name: str) -> None:
    probe = {"readinessProbe": {**PROBES[name], **QUICK}, "ports": [{"name": "web", "containerPort": 8000}]}
    pod = await cluster.pod(server(**probe), **DATA)
    assert "Readiness probe failed: " in (await cluster.event(pod, "Unhealthy"))[2]
    now = await cluster.get(pod)
    assert now["status"]["phase"] == "Running"
    assert condition(now, "Ready") == "False"
    (data(cluster, pod) / "ok").touch()
    await cluster.ready(pod)
    (data(cluster, pod) / "ok").unlink()
    await cluster.until(pod, lambda now: condition(now, "Ready") == "False")
    assert container(await cluster.get(pod))["restartCount"] == 0


async def test_tcp_readiness(cluster: Cluster) -> None:
    probe = {"readinessProbe": {"tcpSocket": {"port": 8000}, **QUICK}}
    pod = await cluster.pod(server(**probe), **DATA)
    await cluster.ready(pod)


async def test_failed_liveness_restarts_the_container(cluster: Cluster) -> None:
    probe = {"livenessProbe": {**PROBES["http"], **QUICK, "initialDelaySeconds": 1}}
    pod = await cluster.pod(server(**probe), **DATA)
    pod = await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 1)
    await cluster.event(pod, "Killing", "Container c0 failed liveness probe, will be restarted")
    assert container(pod)["lastState"]["terminated"]["exitCode"] == 143


async def test_startup_probe_holds_the_others_back(cluster: Cluster) -> None:
    probes = {
        "startupProbe": {**PROBES["exec"], "periodSeconds": 1, "failureThreshold": 60},
        "livenessProbe": {"exec": {"command": ["test", "-e", "/data/alive"]}, **QUICK},
    }
    pod = await cluster.pod(server(**probes), **DATA)
    await cluster.event(pod, "Unhealthy", "Startup probe failed")
    now = await cluster.get(pod)
    assert container(now)["started"] is False
    assert container(now)["restartCount"] == 0
    for name in ("alive", "ok"):
        (data(cluster, pod) / name).touch()
    await cluster.until(pod, lambda now: container(now)["started"] is True)


async def test_failed_startup_probe_restarts_the_container(cluster: Cluster) -> None:
    pod = await cluster.pod(server(startupProbe={**PROBES["exec"], **QUICK}), **DATA)
    await cluster.until(pod, lambda now: container(now).get("restartCount", 0) >= 1)


async def test_slow_exec_probe_times_out(cluster: Cluster) -> None:
    probe = {"exec": {"command": ["sleep", "30"]}, "timeoutSeconds": 1, **QUICK}
    pod = await cluster.pod({**sh("sleep 100"), "readinessProbe": probe})
    assert "timed out after 1s" in (await cluster.event(pod, "Unhealthy"))[2]


async def test_volume_of_a_config_map_is_refreshed(cluster: Cluster) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "live"}, "data": {"word": "old"}}
    await cluster.client.create(CONFIGMAPS, body, cluster.namespace)
    script = "until grep -q new /config/word; do sleep 0.05; done; echo seen"
    pod = await cluster.pod(
        {**sh(script), "volumeMounts": [{"name": "c", "mountPath": "/config"}]},
        restartPolicy="Never",
        volumes=[{"name": "c", "configMap": {"name": "live"}}],
    )
    await cluster.ready(pod)
    await cluster.client.patch(CONFIGMAPS, "live", {"data": {"word": "new"}}, cluster.namespace)
    await cluster.phase(pod, "Succeeded")


async def test_many_pods_at_once(cluster: Cluster) -> None:
    pods = await asyncio.gather(*(cluster.pod(sh("echo done"), restartPolicy="Never") for _ in range(30)))
    for pod in pods:
        await cluster.phase(pod, "Succeeded")
        assert container(await cluster.get(pod))["restartCount"] == 0
