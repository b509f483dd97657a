"""Where a test cluster's files are, and the names, addresses and ports that it has in its own network.

Knows no process. Nothing here can collide with the machine outside: the network is the cluster's own.
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.controlplane.build import cache_root

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
FILES = Path(__file__).resolve().parent

FIRST_ADDRESS = "10.43.0.1"
"""The first node's, which has the control plane, too."""
NODE_PREFIX = 24
POD_NETWORK = "10.244.0.0/16"
SERVICES = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"

API_PORT = 6443
PORTS = {
    "kube-apiserver": API_PORT,
    "etcd-client": 2379,
    "etcd-peer": 2380,
    "kube-controller-manager": 10257,
    "kube-scheduler": 10259,
}
KUBELET_HEALTH = 10248
PROXY_HEALTH = 10256

PAUSE_IMAGE = "docker.io/kf-cluster/pause:1"
COREDNS_IMAGE = "docker.io/kf-cluster/coredns:1.14.7"
BUSYBOX_IMAGE = "docker.io/kf-cluster/busybox:1"
CONTAINERD_SOCKET = "/run/containerd/containerd.sock"


@dataclass(frozen=True)
class Node:
    """The files, names and addresses of one node; the first has number 1."""

    number: int
    home: Path
    """Its part of the cluster's folder."""
    cgroup: str

    @property
    def name(self) -> str:
        return f"kf-node-{self.number}"

    @property
    def address(self) -> str:
        return f"10.43.0.{self.number}"

    @property
    def pods(self) -> str:
        """Its pods' addresses."""
        return f"10.244.{self.number}.0/24"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def configuration(self) -> Path:
        """Written again at each start."""
        return self.home / "configuration"

    @property
    def var(self) -> Path:
        """Its own /var: containerd's images and containers, the kubelet's pods and their logs."""
        return self.home / "var"


@dataclass(frozen=True)
class Layout:
    """The files of the cluster in the folder `home`, an absolute path."""

    home: Path

    @property
    def shared(self) -> list[Path]:
        """Folders of the outside that all its machines see: checkout, Python, programs, and its own."""
        return [ROOT, self.home, Path(sys.prefix), Path(sys.base_prefix), cache_root()]

    @property
    def kubeconfig(self) -> Path:
        """The administrator's; its address is one inside the cluster's network."""
        return self.home / "kubeconfig"

    @property
    def ready(self) -> Path:
        """There while the cluster that runs has come up; holds the seconds that it took."""
        return self.home / "ready"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def machine_log(self) -> Path:
        return self.logs / "machine.log"

    def node(self, number: int) -> Node:
        return Node(number, self.home / f"node-{number}", f"{self.cgroup}/node-{number}")

    @property
    def nodes(self) -> Path:
        """Holds how many nodes there are to be."""
        return self.home / "nodes"

    @property
    def version(self) -> Path:
        """Names the sources that it was started from."""
        return self.home / "version"

    @property
    def images(self) -> Path:
        """Archives of the cluster's own images, imported at each start."""
        return self.home / "images"

    @property
    def volumes(self) -> Path:
        """A folder for each claim."""
        return self.home / "volumes"

    @property
    def cgroup(self) -> str:
        """The name of the cluster's cgroup in every hierarchy."""
        return f"kf-{hashlib.sha256(str(self.home).encode()).hexdigest()[:10]}"
