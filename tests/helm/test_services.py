"""What the policies of an installed chart refuse to its accounts, on a real API server.

All rules have a request in `tests/manifests/request_table.py`; here the chart must name its own accounts in them.
"""

import json
import subprocess
import time

import pytest

from kf_spawner.serving import endpoint
from kf_spawner.spawner import manifests
from kf_spawner.tfjob.names import OPERATOR_LABEL, OPERATOR_NAME
from tests.fixtures.helm import CHART, RELEASE

PORTS = [{"port": 80}]
REFUSED = {
    "load-balancer": ({"type": "LoadBalancer", "ports": PORTS}, "spec.type: a Service of type LoadBalancer"),
    "node-port": ({"type": "NodePort", "ports": PORTS}, "make it a ClusterIP"),
    "external-name": ({"type": "ExternalName", "externalName": "example.com"}, "type ExternalName"),
    "external-address": ({"ports": PORTS, "externalIPs": ["10.9.8.7"]}, "spec.externalIPs"),
}
TAKEN = {
    "plain": {"ports": PORTS},
    "headless": {"clusterIP": "None", "ports": PORTS},
}


class User:
    """The account of notebooks in a namespace as the hub makes it."""

    def __init__(self, plane, folder, namespace: str):
        self.plane, self.file, self.namespace = plane, folder / "objects.json", namespace
        self.account = f"--as=system:serviceaccount:{namespace}:{manifests.ACCOUNT}"
        made = [
            manifests.namespace(namespace, user="ada", labels={}, annotations={}),
            manifests.account(namespace),
            manifests.binding(namespace),
        ]
        for obj in made:
            done = self.apply(obj)
            assert done.returncode == 0, done.stderr

    def apply(self, obj: dict, *how: str) -> subprocess.CompletedProcess[str]:
        self.file.write_text(json.dumps(obj))
        return self.plane.kubectl("apply", "-f", str(self.file), *how)

    def service(self, name: str, spec: dict) -> dict:
        metadata = {"name": name, "namespace": self.namespace}
        return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}

    def refusal(self, name: str) -> str:
        """What the API server says to the account; empty where it would take the Service."""
        return self.apply(self.service(name, REFUSED[name][0]), self.account, "--dry-run=server").stderr


@pytest.fixture
def user(helm, plane, tmp_path):
    """With the chart installed and its policy in force, which the API server reads some time after it is made."""
    helm.run("install", RELEASE, str(CHART))
    user = User(plane, tmp_path, f"kf-{helm.namespace}")
    deadline = time.monotonic() + 60
    while "kf-spawner-services" not in user.refusal("load-balancer"):
        assert time.monotonic() < deadline, "the policy does not come into force"
    yield user
    helm.run("uninstall", RELEASE)
    plane.kubectl("delete", "crd", "tfjobs.kubeflow.org")


def test_a_users_account_makes_cluster_ips_alone(user):
    for name, (_, said) in REFUSED.items():
        assert said in user.refusal(name), name
    for name, spec in TAKEN.items():
        done = user.apply(user.service(name, spec), user.account)
        assert done.returncode == 0, done.stderr
    opened = user.apply(user.service("plain", {"type": "NodePort", "ports": PORTS}), user.account)
    assert "type NodePort" in opened.stderr

    options = {"name": "digits", "claim": "claim-ada", "image": "server:1"}
    for obj in endpoint.build(options, namespace=user.namespace):
        done = user.apply(obj, user.account)
        assert done.returncode == 0, done.stderr


def test_hub_and_operator_write_in_users_namespaces_alone(user, helm):
    hub, operator = (f"--as=system:serviceaccount:{helm.namespace}:{name}" for name in ("hub", "operator"))
    replica = user.service("mnist-worker-0", {"clusterIP": "None", "ports": PORTS})
    replica["metadata"]["labels"] = {OPERATOR_LABEL: OPERATOR_NAME}
    for obj, account in ((manifests.account(user.namespace), hub), (replica, operator)):
        done = user.apply(obj, account)
        assert done.returncode == 0, done.stderr
    owner = f"{manifests.USER_ANNOTATION}=release-0"
    assert user.plane.kubectl("annotate", "namespace", helm.namespace, owner).returncode == 0
    for namespace in ("kube-system", helm.namespace):
        assert f"{namespace} is no user's" in user.apply(manifests.account(namespace), hub).stderr
        replica["metadata"]["namespace"] = namespace
        assert f"TFJobs do not run in the namespace {namespace}" in user.apply(replica, operator).stderr
    own = manifests.namespace(helm.namespace, user="release-0", labels={}, annotations={})
    assert "cannot be a user's namespace" in user.apply(own, hub).stderr


def test_administrators_and_other_namespaces_are_not_asked(user, helm):
    spec = REFUSED["load-balancer"][0]
    done = user.apply(user.service("by-admin", spec))
    assert done.returncode == 0, done.stderr
    elsewhere = user.service("elsewhere", spec)
    elsewhere["metadata"]["namespace"] = helm.namespace
    administrators = ["--as=system:serviceaccount:" + helm.namespace + ":hub", "--as-group=system:masters"]
    done = user.apply(elsewhere, *administrators)
    assert done.returncode == 0, done.stderr
