"""The node's server behind the real API server, asked by the real kubectl."""

import asyncio
import os
import pty
import subprocess

import pytest

from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import NAMESPACES, NODES, PODS
from kf_spawner.localcluster.node.api.server import NodeServer, ServerTls

NODE = "kubectl-test"


def node_status(port: int) -> dict:
    return {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "declaredFeatures": ["ExtendWebSocketsToKubelet"],
        }
    }


class Cluster:
    """kubectl, and what stands behind it."""

    def __init__(self, control_plane, namespace, containers):
        self.plane = control_plane
        self.namespace = namespace
        self.containers = containers

    def argv(self, *arguments: str) -> list[str]:
        plane = self.plane
        config = f"--kubeconfig={plane.admin_kubeconfig}"
        return [str(plane.binaries.kubectl), config, f"--namespace={self.namespace}", *arguments]

    async def start(self, *arguments: str, **streams) -> asyncio.subprocess.Process:
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return await asyncio.create_subprocess_exec(*self.argv(*arguments), **pipes)

    async def run(self, *arguments: str, stdin: bytes | None = None) -> tuple[int, str, str]:
        process = await self.start(*arguments, stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE)
        async with asyncio.timeout(60):
            out, err = await process.communicate(stdin)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def cluster(control_plane, containers):
    """A node of that server alone, and a pod on it whose container `app` says that it runs."""
    files = control_plane.credentials
    tls = ServerTls(
        certificate=files.node_server.certificate, key=files.node_server.key, client_authority=files.authority
    )
    async with (
        NodeServer(containers, tls=tls) as server,
        Client(load_config(control_plane.admin_kubeconfig), user_agent="test") as client,
    ):
        made = await client.create(
            NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "kubectl-test-"}}
        )
        namespace = made["metadata"]["name"]
        await client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        await client.patch(NODES, NODE, node_status(server.port), subresource="status")
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "pod", "namespace": namespace},
            "spec": {
                "nodeName": NODE,
                "automountServiceAccountToken": False,
                "containers": [{"name": "app", "image": "none"}],
            },
        }
        try:
            await until_created(client, pod)
            status = {"status": {"phase": "Running", "podIP": "127.20.0.5", "hostIP": "127.0.0.1"}}
            await client.patch(PODS, "pod", status, namespace, subresource="status")
            containers.start(namespace, "pod", "app")
            yield Cluster(control_plane, namespace, containers)
        finally:
            await client.delete(PODS, "pod", namespace, grace_period=0)
            await client.delete(NODES, NODE)
            await client.delete(NAMESPACES, namespace)


async def until_created(client, pod):
    """The namespace's service account must be there first."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await client.create(PODS, pod)
            except Forbidden:
                await asyncio.sleep(0.05)


async def test_logs(cluster):
    log = cluster.containers.logs[cluster.namespace, "pod", "app"][0]
    log.feed("stdout", b"one\ntwo\n")
    assert await cluster.run("logs", "pod") == (0, "one\ntwo\n", "")
    assert await cluster.run("logs", "pod", "--tail=1") == (0, "two\n", "")
    code, out, _ = await cluster.run("logs", "pod", "--timestamps", "--since=1h", "--limit-bytes=34")
    assert (code, out[4], out[30:]) == (0, "-", " one")
    code, _, err = await cluster.run("logs", "pod", "--previous")
    assert code == 1
    assert 'previous terminated container "app" in pod "pod" not found' in err


async def test_logs_followed_to_the_end(cluster):
    who = (cluster.namespace, "pod", "app")
    process = await cluster.start("logs", "-f", "pod")
    async with asyncio.timeout(60):
        for number in range(3):
            cluster.containers.logs[who][0].feed("stdout", f"line {number}\n".encode())
            assert await process.stdout.readline() == f"line {number}\n".encode()
        cluster.containers.stop(*who)
        assert await process.wait() == 0


async def test_exec(cluster):
    assert await cluster.run("exec", "pod", "--", "sh", "-c", "echo $GREETING; echo no >&2; exit 3") == (
        3,
        "hello\n",
        "no\ncommand terminated with exit code 3\n",
    )
    assert await cluster.run("exec", "-i", "pod", "--", "wc", "-c", stdin=b"x" * 300_000) == (0, "300000\n", "")
    code, _, err = await cluster.run("exec", "pod", "--", "no-such-thing")
    assert code == 1
    assert 'exec: "no-such-thing": executable file not found in $PATH' in err


async def test_exec_in_a_terminal(cluster):
    outer, inner = pty.openpty()
    try:
        process = await cluster.start(
            "exec", "-it", "pod", "--", "sh", "-c", "tty -s && read word && echo got $word", stdin=inner, stdout=inner
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("attach", "pod"), "kubectl logs -f"), (("port-forward", "pod", ":8888"), "loopback interface")],
)
async def test_what_this_node_has_not(cluster, arguments, words):
    code, _, err = await cluster.run(*arguments)
    assert code == 1
    assert words in err
