"""An installation of the chart without values on the cluster that CLUSTER names, and its end."""

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.fixtures.helm import CHART, RELEASE, Helm

NAMESPACE = "chart-test"
PARTS = ("hub", "proxy", "door", "operator", "dashboard")
COME_UP = 180
"""Seconds for all parts, on a machine that does other things as well."""


class Platform:
    """An installation of the chart without values."""

    def __init__(self, helm: Helm, kubectl):
        self.helm, self._kubectl = helm, kubectl

    def kubectl(self, *arguments: str) -> str:
        done = self._kubectl("--namespace", NAMESPACE, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until_up(self) -> None:
        for part in PARTS:
            self.kubectl("rollout", "status", f"deployment/{part}", f"--timeout={COME_UP}s")

    @property
    def password(self) -> str:
        data = json.loads(self.kubectl("get", "secret", "hub", "-o", "json"))["data"]
        return base64.b64decode(data["password"]).decode()

    @property
    def url(self) -> str:
        return "http://" + self.kubectl("get", "service", "door", "-o", "jsonpath={.spec.clusterIP}")

    def pods(self) -> dict[str, str]:
        """Part -> the uid of its pod; of the operator, of one."""
        items = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        label = "app.kubernetes.io/component"
        return {pod["metadata"]["labels"][label]: pod["metadata"]["uid"] for pod in items}


@contextlib.contextmanager
def installed(program: Path, kubeconfig: Path, kubectl, folder: Path) -> Iterator[Platform]:
    """`program` is helm. The namespace takes only pods of the level `restricted`; users' go in the end, too."""
    assert kubectl("create", "namespace", NAMESPACE).returncode == 0
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    assert kubectl("label", "namespace", NAMESPACE, restricted).returncode == 0
    helm = Helm(program, folder=folder, kubeconfig=kubeconfig, namespace=NAMESPACE)
    helm.run("install", RELEASE, str(CHART))
    try:
        yield Platform(helm, kubectl)
    finally:
        kubectl("delete", "namespace", "-l", "app.kubernetes.io/managed-by=kf-spawner", "--wait=false")
        helm.run("uninstall", RELEASE, "--ignore-not-found")
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        kubectl("delete", "crd", "tfjobs.kubeflow.org", "--ignore-not-found", "--wait=false")
        kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=55s")
