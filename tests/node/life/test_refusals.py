"""What cannot hold for a process: a kubelet does it, our node refuses it with an event that names the field.

Why each cannot be had is in docs/node.md.
"""

import asyncio
import re
import subprocess

import pytest

from kf_spawner.kube import Invalid
from kf_spawner.kube.resources import PODS, SERVICES
from tests.node.pods import DATA, Pods, python, sh, waits, with_data

GRPC = {"grpc": {"port": 8000}}
HOST_PATH = [{"name": "h", "hostPath": {"path": "/etc"}}]
FILE_KEY = {"fileKeyRef": {"volumeName": "data", "path": "env", "key": "X"}}
ALL_AGAIN = [{"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [9]}}]
SEEN = {"volumeMounts": [{"name": "h", "mountPath": "/host"}]}

CASES = {
    # name: (fields of the pod, fields of its container, script, what it says in a container, the field)
    "host-network": ({"hostNetwork": True}, {}, "echo ok", "ok", "spec.hostNetwork"),
    "host-pid": ({"hostPID": True}, {}, "[ $$$$ = 1 ] || echo ok", "ok", "spec.hostPID"),
    "host-ipc": ({"hostIPC": True}, {}, "echo ok", "ok", "spec.hostIPC"),
    "host-aliases": (
        {"hostAliases": [{"ip": "192.0.2.7", "hostnames": ["seven.example"]}]},
        {},
        "grep -c seven.example /etc/hosts",
        "1",
        "spec.hostAliases",
    ),
    "dns-config": (
        {"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.53"]}},
        {},
        "grep nameserver /etc/resolv.conf",
        "nameserver 192.0.2.53",
        "spec.dnsConfig",
    ),
    "sysctls": (
        {"securityContext": {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "77"}]}},
        {},
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        "77",
        "spec.securityContext.sysctls",
    ),
    "host-path": (
        {"volumes": HOST_PATH},
        SEEN,
        "[ -e /host/passwd ] && echo ok",
        "ok",
        'spec.volumes[0] "h": hostPath',
    ),
    "added-capability": (
        {},
        {"securityContext": {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}},
        "sed -n 's/^CapEff:\\t//p' /proc/self/status",
        "0000000000000400",
        "spec.containers[0].securityContext.capabilities.add",
    ),
    "host-port": (
        {},
        {"ports": [{"containerPort": 8000, "hostPort": 28765}]},
        "echo ok",
        "ok",
        "spec.containers[0].ports[0].hostPort",
    ),
    "mount-propagation": (
        DATA,
        {"volumeMounts": [{"name": "data", "mountPath": "/data", "mountPropagation": "HostToContainer"}]},
        "touch /data/x && echo ok",
        "ok",
        "spec.containers[0].volumeMounts[0].mountPropagation",
    ),
    "terminal": ({}, {"tty": True}, "tty -s && echo ok", "ok", "spec.containers[0].tty"),
    "standard-input": ({}, {"stdin": True, "stdinOnce": True}, "echo ok", "ok", "spec.containers[0].stdin"),
    "file-key": (
        {**DATA, "init": [with_data(sh("echo \"X='ok'\" > /data/env"))]},
        {"env": [{"name": "X", "valueFrom": FILE_KEY}]},
        "echo $X",
        "ok",
        "spec.containers[0].env[0].valueFrom.fileKeyRef",
    ),
    "restart-all": (
        {},
        {"restartPolicy": "Never", "restartPolicyRules": ALL_AGAIN},
        "echo ok",
        "ok",
        "spec.containers[0].restartPolicyRules[0].action",
    ),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_process_cannot_have_it_and_a_container_can(pods: Pods, name: str) -> None:
    fields, container, script, said, field = CASES[name]
    pod = await pods.pod({**sh(script), **container}, restartPolicy="Never", **fields)
    if pods.target.containers:
        assert (await pods.output(pod)).strip() == said
    else:
        await refused(pods, pod, field)


async def refused(pods: Pods, pod: dict, field: str) -> None:
    """The pod waits, so that nobody replaces it; its status and an event say why."""
    pod = await pods.waiting(pod, "CreateContainerError")
    assert pod["status"]["phase"] == "Pending"
    message = waits(pod)["message"]
    assert field in message
    assert await pods.event(pod, "NotSupported") == ("Warning", "NotSupported", message)
    assert not [event for event in await pods.events(pod) if event[1] == "Started"]


async def test_a_service_that_only_a_cluster_resolves_holds_the_pod(pods: Pods) -> None:
    meta, ports = {"name": "headless", "namespace": pods.namespace}, [{"port": 80}]
    spec = {"clusterIP": "None", "selector": {"app": "nobody"}, "ports": ports}
    await pods.client.create(SERVICES, {"metadata": meta, "spec": spec})
    host = f"headless.{pods.namespace}.svc"
    pod = await pods.pod(sh("echo $HOST", env=[{"name": "HOST", "value": host}]), restartPolicy="Never")
    if pods.target.containers:
        assert await pods.output(pod) == f"{host}\n"
    else:
        pod = await pods.waiting(pod, "CreateContainerConfigError")
        assert "named without a port" in waits(pod)["message"]
        assert pod["status"]["phase"] == "Pending"
    await pods.client.delete(SERVICES, "headless", pods.namespace)


async def test_privileges(pods: Pods) -> None:
    """Where there are no containers the API server itself refuses them."""
    part = sh("[ -e /dev/loop-control ] && echo ok", securityContext={"privileged": True})
    if pods.target.containers:
        assert await pods.output(await pods.pod(part, restartPolicy="Never")) == "ok\n"
    else:
        with pytest.raises(Invalid, match="privileged: Forbidden"):
            await pods.pod(part)


async def test_new_images_for_a_running_pod(pods: Pods) -> None:
    pod = await pods.ready(await pods.pod(sh("trap 'exit 0' TERM; sleep 100 & wait")))
    patch = {"spec": {"containers": [{"name": "c0", "image": "kf-spawner/nothing:0.1.0"}]}}
    await pods.client.patch(PODS, pod["metadata"]["name"], patch, pods.namespace, kind="strategic")
    if pods.target.containers:
        await pods.event(pod, "Killing", "Container c0 definition changed, will be restarted")
    else:
        await pods.event(pod, "Failed", "this node cannot change the containers of a running pod")
        assert (await pods.get(pod))["status"]["phase"] == "Running"


async def test_a_probe_by_grpc(pods: Pods) -> None:
    pod = await pods.pod(sh("sleep 100", livenessProbe={**GRPC, "periodSeconds": 1}))
    if pods.target.containers:
        await pods.event(pod, "Unhealthy", "Liveness probe failed: ")
    else:
        await refused(pods, pod, "spec.containers[0].livenessProbe.grpc")


async def test_a_debug_container(pods: Pods) -> None:
    pod = await pods.ready(await pods.pod(sh("sleep 100")))
    image = pods.target.image
    body = {
        "spec": {"ephemeralContainers": [{"name": "look", "image": image, "command": ["sh", "-c", "echo found"]}]}
    }
    path = f"/api/v1/namespaces/{pods.namespace}/pods/{pod['metadata']['name']}/ephemeralcontainers"
    await pods.client.request("PATCH", path, body=body, content_type="application/strategic-merge-patch+json")
    if pods.target.containers:
        await pods.until(pod, lambda now: "terminated" in str(now["status"].get("ephemeralContainerStatuses")))
        assert await pods.logs(pod, "look") == "found\n"
    else:
        assert "use kubectl exec" in (await pods.event(pod, "Failed", 'spec.ephemeralContainers "look"'))[2]
    assert (await pods.get(pod))["status"]["phase"] == "Running"


async def test_other_resources_for_a_running_pod(pods: Pods) -> None:
    before = {"requests": {"cpu": "10m"}}
    pod = await pods.ready(await pods.pod(sh("sleep 100", resources=before)))
    patch = {"spec": {"containers": [{"name": "c0", "resources": {"requests": {"cpu": "20m"}}}]}}
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{pods.namespace}/pods/{name}/resize"
    content = "application/strategic-merge-patch+json"
    resize = pods.client.request("PATCH", path, body=patch, content_type=content)
    if pods.target.containers:
        await resize
        await pods.event(pod, "ResizeCompleted")
    else:
        with pytest.raises(Invalid, match="node without support for resize"):
            await resize
    assert (await pods.get(pod))["status"]["phase"] == "Running"


async def test_attach(pods: Pods) -> None:
    pod = await pods.running(await pods.pod(sh("while :; do echo tick; sleep 0.1; done")))
    process = await asyncio.create_subprocess_exec(
        *pods.argv("attach", pod["metadata"]["name"]), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(60):
            while "tick\n" not in said and "kubectl logs -f" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert ("tick\n" in said) is pods.target.containers


ANSWER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'hello')
    def log_message(self, *_): pass
server = http.server.HTTPServer(('0.0.0.0', 8000), Handler)
print('up', flush=True)
server.serve_forever()
"""


async def test_port_forward(pods: Pods) -> None:
    pod = await pods.pod(python(ANSWER))
    await pods.first_line(pod)
    process = await asyncio.create_subprocess_exec(
        *pods.argv("port-forward", pod["metadata"]["name"], ":8000"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
            if not pods.target.containers:
                assert "loopback interface" in line
                return
            port = int(re.findall(r"127\.0\.0\.1:(\d+) ", line)[0])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.0\r\n\r\n")
            assert (await reader.read()).endswith(b"hello")
            writer.close()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


LOWER = {
    # What only lowers a pod's rights or names a user has no effect on a process: the pod runs, and an event names it.
    # name: (fields of the pod, fields of its container, script, what it says in a container, the fields' names)
    "user": (
        {"securityContext": {"runAsUser": 1000, "runAsGroup": 100}},
        {},
        "id -u; id -g",
        "1000\n100\n",
        "spec.securityContext.runAsUser, spec.securityContext.runAsGroup",
    ),
    "group": (
        {"securityContext": {"fsGroup": 100}, **DATA},
        {},
        "stat -c %g /data",
        "100\n",
        "spec.securityContext.fsGroup",
    ),
    "groups": (
        {"securityContext": {"supplementalGroups": [77]}},
        {},
        "id -G | grep -ow 77",
        "77\n",
        "spec.securityContext.supplementalGroups",
    ),
    "no-capabilities": (
        {},
        {"securityContext": {"capabilities": {"drop": ["ALL"]}}},
        "sed -n 's/^CapEff:\\t//p' /proc/self/status",
        "0" * 16 + "\n",
        "spec.containers[0].securityContext.capabilities.drop",
    ),
    "read-only-root": (
        {},
        {"securityContext": {"readOnlyRootFilesystem": True}},
        "touch /usr/x 2>/dev/null || echo no",
        "no\n",
        "spec.containers[0].securityContext.readOnlyRootFilesystem",
    ),
    "read-only-mount": (
        DATA,
        {"volumeMounts": [{"name": "data", "mountPath": "/data", "readOnly": True}]},
        "touch /data/x 2>/dev/null || echo no",
        "no\n",
        "spec.containers[0].volumeMounts[0].readOnly",
    ),
    "no-new-privileges": (
        {},
        {"securityContext": {"allowPrivilegeEscalation": False}},
        "sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status",
        "1\n",
        "spec.containers[0].securityContext.allowPrivilegeEscalation",
    ),
    "seccomp": (
        {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
        {},
        "sed -n 's/^Seccomp:\\t//p' /proc/self/status",
        "2\n",
        "spec.securityContext.seccompProfile",
    ),
}


@pytest.mark.parametrize("name", LOWER)
async def test_a_right_less_does_not_fail_a_pod_and_is_named(pods: Pods, name: str) -> None:
    fields, container, script, said, named = LOWER[name]
    part = {**sh(f"{script}; true" if pods.target.containers else "true"), **container}
    if "volumes" in fields and "volumeMounts" not in part:
        part = with_data(part)
    pod = await pods.pod(part, restartPolicy="Never", **fields)
    pod = await pods.phase(pod, "Succeeded")
    if pods.target.containers:
        assert await pods.logs(pod) == said
    else:
        words = ("Normal", "NotEnforced", f"no effect on a plain process: {named}")
        assert await pods.event(pod, "NotEnforced") == words
        assert [event[1] for event in await pods.events(pod)].count("NotEnforced") == 1
