"""The four real processes: they start, have the pinned version, keep what they acknowledged, and check identities."""

import contextlib
import json
import stat
import time
from pathlib import Path

import pytest

from kf_spawner.localcluster.controlplane.build import KUBERNETES_VERSION
from tests.fixtures.control_plane import running


@pytest.fixture(scope="module")
def control_plane(control_plane_binaries):
    """One of this file's own, as users have it: its size is measured and its processes are killed."""
    with running(control_plane_binaries, variables={}) as plane:
        yield plane


def test_kubectl_sees_the_pinned_version(control_plane):
    answer = json.loads(control_plane.kubectl("version", "--output=json").stdout)
    assert answer["serverVersion"]["gitVersion"] == KUBERNETES_VERSION
    assert answer["clientVersion"]["gitVersion"] == KUBERNETES_VERSION


def test_a_user_without_a_role_may_nothing(control_plane):
    stranger = control_plane.kubeconfig("stranger")
    for question in (["get", "secrets", "-A"], ["create", "namespace", "x"], ["get", "nodes"]):
        answer = control_plane.kubectl(*question, kubeconfig=stranger)
        assert answer.returncode != 0
        assert "Forbidden" in answer.stderr, answer.stderr
        assert 'User "stranger"' in answer.stderr


@pytest.mark.parametrize("victims", [["etcd"], ["kube-apiserver"], ["etcd", "kube-apiserver"]], ids="-".join)
def test_what_was_acknowledged_survives_kill_9(control_plane, victims):
    plane = control_plane
    written = []
    for number in range(10):
        name = f"kept-{'-'.join(victims)}-{number}"
        answer = plane.kubectl("create", "configmap", name, "--from-literal=a=b")
        if answer.returncode == 0:
            written.append(f"configmap/{name}")
    assert written
    for victim in victims:
        plane.kill(victim)
    plane.start(victims)
    # An API server that went on without its etcd takes a moment to find the new one.
    deadline = time.monotonic() + 60
    while (found := plane.kubectl("get", "configmaps", "--output=name")).returncode != 0:
        assert time.monotonic() < deadline, found.stderr
    assert set(written) <= set(found.stdout.split())


def test_every_secret_file_is_the_owners_alone(control_plane):
    home = control_plane.home
    files = [*home.glob("pki/*"), *home.glob("kubeconfigs/*"), home / "kubeconfig"]
    assert len(files) > 15
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (home, home / "pki", home / "kubeconfigs", home / "etcd"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder


WORKLOADS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: none}], tolerations: [{operator: Exists}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: c, image: none}]}
"""
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "paper"},
    "status": {
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "10"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}


def test_controllers_and_scheduler_do_their_work(control_plane, tmp_path):
    plane = control_plane

    def apply(text, *arguments):
        (tmp_path / "manifest.yaml").write_text(text)
        answer = plane.kubectl("apply", "-f", str(tmp_path / "manifest.yaml"), *arguments)
        assert answer.returncode == 0, answer.stderr

    def until(condition, *arguments):
        deadline = time.monotonic() + 90
        while not condition(found := plane.kubectl(*arguments).stdout):
            assert time.monotonic() < deadline, f"{arguments}: {found}"

    assert plane.kubectl("create", "namespace", "work").returncode == 0
    until(lambda found: "default" in found, "get", "serviceaccounts", "-n", "work")
    until(lambda found: "kube-root-ca.crt" in found, "get", "configmaps", "-n", "work")
    apply(json.dumps(NODE))
    apply(json.dumps(NODE), "--subresource=status", "--server-side")
    until(lambda found: "NoSchedule" not in found, "get", "node", "paper", "-o", "jsonpath={.spec.taints}")
    apply(WORKLOADS, "-n", "work")
    nodes = ("get", "pods", "-n", "work", "-o", "jsonpath={.items[*].spec.nodeName}")
    until(lambda found: found.split() == ["paper", "paper"], *nodes)
    # No kubelet will ever confirm the end of those pods, and nothing may be left that makes new ones.
    plane.kubectl("delete", "deployment,job", "--all", "-n", "work")
    until(lambda found: not found, "get", "replicasets,jobs", "-n", "work", "--output=name")
    until(
        lambda found: "pod" not in found,
        *("delete", "pods", "--all", "-n", "work", "--force", "--grace-period=0", "--output=name"),
    )
    assert plane.kubectl("delete", "namespace", "work", "--timeout=50s").returncode == 0
    assert plane.kubectl("delete", "node", "paper").returncode == 0


def listening_addresses(pid):
    """The addresses, as /proc writes them, on which the process listens."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    addresses = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = row.split()
            if columns[3] == "0A" and columns[9] in inodes:
                addresses.add(columns[1].split(":")[0])
    return addresses


def test_idle_it_listens_on_loopback_alone_and_stays_small(control_plane):
    sizes = {}
    for name, process in control_plane.running.items():
        assert listening_addresses(process.pid) == {"0100007F"}, name
        rows = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        sizes[name] = next(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024
    assert len(sizes) == 4
    assert sum(sizes.values()) < 450, sizes


def test_a_second_start_on_the_same_store_knows_its_roles(control_plane):
    plane = control_plane
    plane.stop()
    plane.start()
    scheduler = plane.credentials.client("kube-scheduler")
    answer = plane.kubectl("auth", "can-i", "create", "pods", "--subresource=binding", "-A", kubeconfig=scheduler)
    assert answer.stdout.strip() == "yes", answer.stderr
    assert "invalid file" not in (plane.home / "logs" / "etcd.log").read_text(), "etcd's own folder is its own alone"


def test_a_nodes_identity_is_a_nodes_alone(control_plane):
    node = control_plane.credentials.client("node")

    def refused(*arguments):
        answer = control_plane.kubectl(*arguments, kubeconfig=node)
        return "Forbidden" in answer.stderr

    assert not refused("get", "pods", "-A", "--field-selector=spec.nodeName=local")
    assert refused("get", "pods", "-A")
    assert refused("get", "pods", "-A", "--field-selector=spec.nodeName=other")
    assert refused("get", "secrets", "-A")
    assert refused("delete", "namespace", "default")
