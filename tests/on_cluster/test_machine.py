"""A test cluster of these tests' own: what is killed comes back, a power cut loses nothing, nothing of it stays."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kf_spawner.localcluster.controlplane import binaries
from kf_spawner.localcluster.supervisor import process_start
from tests.cluster import cgroups, outside
from tests.cluster.layout import BUSYBOX_IMAGE, ROOT, Layout

PATIENCE = 120.0
PAUSE = 0.2

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="a cluster needs Linux and root"),
]


def mounts() -> str:
    return Path("/proc/mounts").read_text()


@pytest.fixture(scope="module")
def before() -> str:
    """The mounts of this machine, which are none of a cluster's."""
    return mounts()


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory, before: str) -> Iterator[Layout]:
    made = Layout(tmp_path_factory.mktemp("cluster") / "home")
    outside.up(made, nodes=2)
    yield made
    outside.down(made)


def kubectl(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = asyncio.run(binaries.ensure(print)).kubectl
    argv = [sys.executable, "-m", "tests.cluster", "--home", str(layout.home), "run", "--", str(program)]
    argv += [f"--kubeconfig={layout.kubeconfig}", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def until(layout: Layout, wanted: str, *arguments: str) -> None:
    """Until kubectl says `wanted`; it may fail in between."""
    deadline = time.monotonic() + PATIENCE
    while (ended := kubectl(layout, *arguments)).stdout.strip() != wanted:
        assert time.monotonic() < deadline, f"{wanted!r} not within {PATIENCE:g} s: {ended}"
        time.sleep(PAUSE)


def pids(layout: Layout, name: str) -> list[int]:
    """The machine's processes of that program."""
    namespace = os.readlink(f"/proc/{outside.machine(layout)}/ns/pid")
    return [pid for pid in running(name) if _link(pid, "ns/pid") == namespace]


def containers(layout: Layout) -> list[int]:
    """The pod's processes; a pod has a process namespace of its own."""
    return [pid for pid in running("busybox") if layout.cgroup in _cgroups(pid)]


def running(name: str) -> list[int]:
    return [pid for pid in everybody() if Path(_link(pid, "exe")).name == name]


def everybody() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _cgroups(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except OSError:
        return ""


def namespaces(pid: int) -> set[str]:
    """Of the kinds that a machine, and in it a pod, has of its own; none of a process that has ended."""
    return {_link(pid, f"ns/{kind}") for kind in ("mnt", "net", "pid", "uts")} - {""}


def start_pod(layout: Layout) -> None:
    """A pod that notes each of its starts."""
    first = f'{{"spec": {{"nodeName": "{layout.node(1).name}"}}}}'
    command = ("--overrides", first, "--", "echo begun; exec sleep 100000")
    said = kubectl(layout, "run", "pod", f"--image={BUSYBOX_IMAGE}", *command)
    assert said.returncode == 0, said
    until(layout, "Running", "get", "pod", "pod", "--output=jsonpath={.status.phase}")


RESTARTS = ("get", "pod", "pod", "--output=jsonpath={.status.containerStatuses[0].restartCount}")
NODE_READY = ("get", "nodes", '--output=jsonpath={.items[0].status.conditions[?(@.type=="Ready")].status}')


def test_up_twice_is_up_once(layout: Layout):
    first = outside.machine(layout)
    outside.up(layout)
    assert outside.machine(layout) == first


def test_of_other_sources_it_is_started_again(layout: Layout):
    first = outside.machine(layout)
    assert kubectl(layout, "create", "namespace", "kept").returncode == 0
    layout.version.write_text("another commit's")
    outside.up(layout)
    assert outside.machine(layout) != first
    assert kubectl(layout, "get", "namespace", "kept").returncode == 0
    assert len(kubectl(layout, "get", "nodes", "--output=name").stdout.split()) == 2


@pytest.mark.parametrize("program", ["kube-proxy", "kf-control-plane"])
def test_what_is_killed_comes_back_and_the_pod_runs_on(layout: Layout, program: str):
    """Kubelet and containerd are killed in `test_faults.py`."""
    if kubectl(layout, "get", "pod", "pod").returncode:
        start_pod(layout)
    before = pids(layout, program)
    assert before
    pod = containers(layout)
    assert pod
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while len([pid for pid in pids(layout, program) if pid not in before]) < len(before):
        assert time.monotonic() < deadline
        time.sleep(PAUSE)
    until(layout, "True", *NODE_READY)
    ended = kubectl(layout, "exec", "pod", "--", "echo", "there")
    while ended.returncode:
        assert time.monotonic() < deadline, ended
        time.sleep(PAUSE)
        ended = kubectl(layout, "exec", "pod", "--", "echo", "there")
    assert ended.stdout == "there\n"
    assert set(pod) <= set(containers(layout))
    assert kubectl(layout, *RESTARTS).stdout == "0"


MOVING = f"""\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: home}}
spec: {{accessModes: [ReadWriteOnce], resources: {{requests: {{storage: 1Gi}}}}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: moving}}
spec:
  strategy: {{type: Recreate}}
  selector: {{matchLabels: {{app: moving}}}}
  template:
    metadata: {{labels: {{app: moving}}}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: main
          image: {BUSYBOX_IMAGE}
          args: ["echo $NODE >>/data/nodes; exec sleep 100000"]
          env: [{{name: NODE, valueFrom: {{fieldRef: {{fieldPath: spec.nodeName}}}}}}]
          volumeMounts: [{{name: home, mountPath: /data}}]
      volumes: [{{name: home, persistentVolumeClaim: {{claimName: home}}}}]
"""


def test_a_drained_nodes_pod_goes_on_on_the_other_with_its_files(layout: Layout, tmp_path: Path):
    file = tmp_path / "moving.yaml"
    file.write_text(MOVING)
    first, second = (layout.node(number).name for number in (1, 2))
    assert kubectl(layout, "cordon", first).returncode == 0
    assert kubectl(layout, "apply", f"--filename={file}").returncode == 0
    notes = ("exec", "deployment/moving", "--", "cat", "/data/nodes")
    until(layout, second, *notes)
    assert kubectl(layout, "uncordon", first).returncode == 0
    drained = kubectl(layout, "drain", second, "--ignore-daemonsets", "--delete-emptydir-data", "--force")
    assert drained.returncode == 0, drained
    until(layout, f"{second}\n{first}", *notes)
    assert kubectl(layout, "uncordon", second).returncode == 0


def test_a_further_node_that_is_killed_comes_back(layout: Layout):
    (machine,) = outside.further_machines(layout)
    os.kill(machine, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while outside.further_machines(layout) in ([], [machine]):
        assert time.monotonic() < deadline
        time.sleep(PAUSE)
    second = layout.node(2).name
    override = f'{{"spec": {{"nodeName": "{second}"}}}}'
    command = ("--overrides", override, "--", "nslookup kubernetes.default.svc.cluster.local")
    made = kubectl(layout, "run", "asks", f"--image={BUSYBOX_IMAGE}", "--restart=Never", *command)
    assert made.returncode == 0, made
    # The name's server is a pod of the first node.
    until(layout, "Succeeded", "get", "pod", "asks", "--output=jsonpath={.status.phase}")


def test_a_power_cut(layout: Layout):
    """The first process is killed, and with it everything; the next start has the same objects and starts the pod."""
    if kubectl(layout, "get", "pod", "pod").returncode:
        start_pod(layout)
    first = outside.machine(layout)
    assert first is not None
    pod = containers(layout)
    assert pod
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + PATIENCE
    while any(process_start(pid) is not None for pid in [first, *pod]):
        assert time.monotonic() < deadline
        time.sleep(PAUSE)
    outside.up(layout)
    assert outside.machine(layout) != first
    until(layout, "1", *RESTARTS)


def test_down_leaves_nothing_of_a_start_that_was_cut_short(tmp_path: Path):
    layout = Layout(tmp_path / "home")
    before = mounts()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster", "--home", str(layout.home), "up"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE
    while not (layout.node(1).var / "lib" / "kubelet").exists():
        assert time.monotonic() < deadline
        time.sleep(PAUSE)
    inside = outside.machine(layout)
    assert inside is not None
    process.kill()
    process.wait()
    outside.down(layout)
    assert process_start(inside) is None
    assert_gone(layout, before)
    outside.down(layout)  # and again: nothing to do is not an error


def test_down_leaves_nothing_of_a_cluster_with_pods_on_two_nodes(layout: Layout, before: str):
    """The last test with that cluster."""
    if kubectl(layout, "get", "pod", "pod").returncode:
        start_pod(layout)
    machines = [outside.machine(layout), *outside.further_machines(layout)]
    assert len(machines) == 2
    inside = {_link(pid, "ns/mnt") for pid in machines if pid}
    its_own = [pid for pid in everybody() if _link(pid, "ns/mnt") in inside or layout.cgroup in _cgroups(pid)]
    assert {"kubelet", "containerd", "kube-proxy", "busybox"} <= {Path(_link(pid, "exe")).name for pid in its_own}
    made = {name for pid in its_own for name in namespaces(pid)} - namespaces(os.getpid())
    started = {pid: process_start(pid) for pid in everybody() if namespaces(pid) & made}
    outside.down(layout)
    # Without a process or a mount there is no namespace either, nor its links; its number is given to others.
    assert [pid for pid, start in started.items() if start and process_start(pid) == start] == []
    assert_gone(layout, before)


def assert_gone(layout: Layout, before: str) -> None:
    assert outside.machine(layout) is None
    assert outside.further_machines(layout) == []
    assert not layout.home.exists()
    assert not [path for path in cgroups.hierarchies() if (path / layout.cgroup).exists()]
    assert mounts() == before
