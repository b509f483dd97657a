"""The node: containerd, kubelet and kube-proxy, as command lines and configuration files. Starts nothing."""

import asyncio
import json
from pathlib import Path

import yaml

from kf_spawner.cli.ready import serving
from kf_spawner.localcluster.controlplane.private_files import private_folder
from kf_spawner.localcluster.supervisor import ProcessSpec

from . import packages
from .control_plane import NodeKeys
from .layout import CONTAINERD_SOCKET, DNS_ADDRESS, KUBELET_HEALTH, PAUSE_IMAGE, POD_NETWORK, PROXY_HEALTH, Node
from .programs import Programs

CONTAINERD = "containerd"
LEASE = 20
"""Seconds: so a node that is lost is known as lost soon (`control_plane.NODE_LOST`)."""


def specs(node: Node, programs: Programs, keys: NodeKeys) -> list[ProcessSpec]:
    """The node's processes; `write_configuration` comes first. They wait for the API server themselves."""
    folder = node.configuration
    environment = {"PATH": packages.SEARCH, "GOMEMLIMIT": "200MiB"}
    return [
        ProcessSpec(
            CONTAINERD,
            [packages.program("containerd"), f"--config={folder / 'containerd.toml'}"],
            environment,
            _listening(CONTAINERD_SOCKET),
        ),
        ProcessSpec(
            "kubelet",
            [
                str(programs.kubelet),
                f"--config={folder / 'kubelet.yaml'}",
                f"--kubeconfig={keys.kubelet}",
                f"--hostname-override={node.name}",
                f"--node-ip={node.address}",
            ],
            environment,
            serving(KUBELET_HEALTH, "/healthz"),
            after=(CONTAINERD,),
        ),
        ProcessSpec(
            "kube-proxy",
            [str(programs.kube_proxy), f"--config={folder / 'kube-proxy.yaml'}"],
            environment,
            serving(PROXY_HEALTH, "/livez"),
        ),
    ]


def write_configuration(node: Node, keys: NodeKeys) -> None:
    folder = private_folder(node.configuration)
    (folder / "containerd.toml").write_text(_containerd(folder / "network"))
    _write(folder / "kubelet.yaml", _kubelet(node, keys))
    _write(folder / "kube-proxy.yaml", _kube_proxy(node, keys))
    (folder / "resolv.conf").write_text("# The cluster's network leads nowhere else: there is nobody to ask.\n")
    (folder / "network").mkdir(exist_ok=True)
    (folder / "network" / "pods.conflist").write_text(json.dumps(_network(node), indent=1))


def _write(path: Path, document: dict) -> None:
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def _containerd(network: Path) -> str:
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  disable_apparmor = true
  # Without the capability CAP_SYS_RESOURCE runc cannot lower a process's score.
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{packages.network_plugins()}"
  conf_dir = "{network}"
"""


def _network(node: Node) -> dict:
    """Each pod on a link of its own: packets are routed, so a service's answer passes kube-proxy's rules, too."""
    return {
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "subnet": node.pods,
                    "routes": [{"dst": "0.0.0.0/0"}],
                    # Gone with the machine, as the pods' networks are.
                    "dataDir": "/run/cni-networks",
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def _kubelet(node: Node, keys: NodeKeys) -> dict:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "nodeLeaseDurationSeconds": LEASE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(keys.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "enforceNodeAllocatable": [],
        # A developer's disk is often nearly full, and images that were loaded by hand cannot be pulled again.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
        "failCgroupV1": False,
        "failSwapOn": False,
        "healthzPort": KUBELET_HEALTH,
        # The machine gives it the values that it wants (`machine.py`): it must not change the ones outside.
        "protectKernelDefaults": True,
        "resolvConf": str(node.configuration / "resolv.conf"),
        "tlsCertFile": str(keys.server.certificate),
        "tlsPrivateKeyFile": str(keys.server.key),
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    }


def _kube_proxy(node: Node, keys: NodeKeys) -> dict:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        "clusterCIDR": POD_NETWORK,
        "hostnameOverride": node.name,
        "clientConnection": {"kubeconfig": str(keys.kube_proxy)},
        "healthzBindAddress": f"127.0.0.1:{PROXY_HEALTH}",
        # The connection table is the whole machine's, inside and outside: left as it is.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
    }


def _listening(socket: str):
    async def ask() -> bool:
        try:
            _reader, writer = await asyncio.open_unix_connection(socket)
        except OSError:
            return False
        writer.transport.abort()
        return True

    return ask
