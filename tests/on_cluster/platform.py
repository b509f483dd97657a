"""An installation of the chart on the cluster that CLUSTER names, and its end. There is one at a time."""

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from subprocess import CompletedProcess

from tests.fixtures.helm import CHART, RELEASE, Helm

NAMESPACE = "chart-test"
PARTS = ("hub", "proxy", "door", "operator", "dashboard")
DEFINITION = "tfjobs.kubeflow.org"
USERS = ("namespaces", "-l", "app.kubernetes.io/managed-by=kf-spawner")
TAKEN = (
    ("crd", f"--field-selector=metadata.name={DEFINITION}"),
    ("clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/name=kf-spawner"),
    USERS,
    ("namespaces", f"--field-selector=metadata.name={NAMESPACE}"),
)
"""What an installation has that is one per cluster: where there is some already, it is somebody's."""

COME_UP = 300.0
"""Seconds for all parts, on a machine that does other things as well."""

GO = 180.0
"""Seconds for namespaces and all that is in them to go."""

PAUSE = 0.5

Kubectl = Callable[..., CompletedProcess[str]]


class ClusterInUse(Exception):
    """The cluster has what an installation would share, and its end remove; the message says what."""


class Platform:
    """An installation of the chart; without values, unless it is given some."""

    def __init__(self, helm: Helm, kubectl: Kubectl):
        self.helm, self._kubectl = helm, kubectl
        self._is_default = False

    def install(self, *arguments: str, values: dict | None = None) -> None:
        """Bring it to these values and no others, whether it is there or not."""
        self._is_default = False
        self.helm.run("upgrade", "--install", "--reset-values", RELEASE, str(CHART), *arguments, values=values)
        self._is_default = not arguments and values is None

    def install_default(self) -> None:
        """Without values, whatever a test before has made of it, and up."""
        if not self._is_default:
            self.install()
        self.until_up()

    def roll_back(self) -> None:
        """To what was installed before the last change."""
        self._is_default = False
        self.helm.run("rollback", RELEASE)

    def uninstall(self) -> None:
        """And wait until none of its pods is left."""
        self._is_default = False
        self.helm.run("uninstall", RELEASE, "--ignore-not-found")
        _until_empty(self._kubectl, "pods", f"--namespace={NAMESPACE}")

    def kubectl(self, *arguments: str, namespace: str = NAMESPACE) -> str:
        done = self._kubectl("--namespace", namespace, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def until_up(self, *workloads: str) -> None:
        """All parts (and workloads such as `daemonset/…`) run as they are wanted, and the door leads to the hub."""
        deadline = time.monotonic() + COME_UP
        for workload in (*(f"deployment/{part}" for part in PARTS), *workloads):
            rollout = ("--namespace", NAMESPACE, "rollout", "status", workload, "--timeout=30s")
            while (done := self._kubectl(*rollout)).returncode:
                assert time.monotonic() < deadline, f"{done.stderr}\n{self.kubectl('get', 'pods')}"
        # A Service leads to a pod only some time after the pod is ready.
        while not _is_healthy(self.url.removeprefix("http://")):
            assert time.monotonic() < deadline, "the door does not lead to the hub"
            time.sleep(PAUSE)

    @property
    def password(self) -> str:
        data = json.loads(self.kubectl("get", "secret", "hub", "-o", "json"))["data"]
        return base64.b64decode(data["password"]).decode()

    @property
    def url(self) -> str:
        return "http://" + self.kubectl("get", "service", "door", "-o", "jsonpath={.spec.clusterIP}")

    def pods(self) -> dict[str, str]:
        """Part -> the uid of its pod; of the operator, of one. Without those that are about to go."""
        items = json.loads(self.kubectl("get", "pods", "-o", "json"))["items"]
        label = "app.kubernetes.io/component"
        return {
            pod["metadata"]["labels"][label]: pod["metadata"]["uid"]
            for pod in items
            if "deletionTimestamp" not in pod["metadata"]
        }

    def pods_of(self, user: str) -> dict[str, tuple[str, int]]:
        """The user's pods by name: the uid of each, and how often its containers were started again."""
        items = json.loads(self.kubectl("get", "pods", "-o", "json", namespace=f"kf-{user}"))["items"]
        return {
            pod["metadata"]["name"]: (
                pod["metadata"]["uid"],
                sum(status["restartCount"] for status in pod["status"].get("containerStatuses", [])),
            )
            for pod in items
        }


class Occupant:
    """What is installed on the cluster: one thing at a time, kept while the next test asks for the same."""

    def __init__(self) -> None:
        self._stack, self._name = ExitStack(), ""
        self._platform: Platform | None = None

    def be(self, name: str, make: Callable[[], AbstractContextManager[Platform]]) -> Platform:
        """The installation of that name, made by `make()` if another one is there, or none."""
        if name != self._name or self._platform is None:
            self.leave()
            self._platform, self._name = self._stack.enter_context(make()), name
        return self._platform

    def leave(self) -> None:
        """Nothing is installed afterwards."""
        self._platform = None
        self._stack.close()


@contextlib.contextmanager
def installed(
    program: Path, kubeconfig: Path, kubectl: Kubectl, folder: Path, *arguments: str, values: dict | None = None
) -> Iterator[Platform]:
    """`program` is helm. The namespace takes only pods of the level `restricted`; users' go in the end, too.

    What is removed in the end was made meanwhile: raises ClusterInUse where some of it is there already.
    """
    refuse_taken(kubectl)
    assert kubectl("create", "namespace", NAMESPACE).returncode == 0
    restricted = "pod-security.kubernetes.io/enforce=restricted"
    assert kubectl("label", "namespace", NAMESPACE, restricted).returncode == 0
    platform = Platform(Helm(program, folder=folder, kubeconfig=kubeconfig, namespace=NAMESPACE), kubectl)
    try:
        platform.install(*arguments, values=values)
        yield platform
    finally:
        # Users' namespaces first: what is in them may wait for a part of the platform.
        remove_users(kubectl)
        platform.uninstall()
        kubectl("delete", "crd", DEFINITION, "--ignore-not-found", "--wait=false")
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")
        _until_empty(kubectl, "crd", f"--field-selector=metadata.name={DEFINITION}")
        _until_empty(kubectl, "namespaces", f"--field-selector=metadata.name={NAMESPACE}")


def refuse_taken(kubectl: Kubectl) -> None:
    """Raises ClusterInUse where there is an installation, users' files or TFJobs: they are not ours to remove."""
    found = []
    for what in TAKEN:
        done = kubectl("get", *what, "-o", "name")
        assert done.returncode == 0, done.stderr
        found += done.stdout.split()
    if found:
        raise ClusterInUse(
            f"the cluster has {', '.join(found)}. What is installed here goes in the end, with all users' files and "
            "TFJobs: use a cluster that has none, or that of 'make cluster', which 'make cluster-down' empties"
        )


def remove_users(kubectl: Kubectl) -> None:
    """Users' namespaces with all that is in them; only after `refuse_taken`."""
    kubectl("delete", *USERS, "--wait=false")
    _until_empty(kubectl, *USERS)


def _is_healthy(host: str) -> bool:
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request("GET", "/hub/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _until_empty(kubectl: Kubectl, *what: str) -> None:
    deadline = time.monotonic() + GO
    while left := kubectl("get", *what, "-o", "name").stdout.split():
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(PAUSE)
