"""The local cluster's control plane, with what a real cluster has besides: other nodes, endpoints, all controllers.

Owns keys, kubeconfigs and the four command lines; knows nothing of the node.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.controlplane import credentials, kubeconfig, process_specs
from kf_spawner.localcluster.controlplane.binaries import Binaries
from kf_spawner.localcluster.controlplane.credentials import Credentials
from kf_spawner.localcluster.controlplane.pki import SERVER, Authority, Leaf, Pair
from kf_spawner.localcluster.supervisor import ProcessSpec

from .layout import API_PORT, FIRST_ADDRESS, PORTS, Layout, Node

NODE_LOST = "25s"
"""Without a word from its kubelet, which renews its lease every quarter of LEASE; Kubernetes' own are 50 and 40 s."""
API_SERVER_PAIR = "kube-apiserver-for-nodes"


@dataclass(frozen=True)
class NodeKeys:
    """The files that a node's processes are started with."""

    authority: Path
    server: Pair
    """The kubelet's own."""
    kubelet: Path
    """The kubelet's kubeconfig."""
    kube_proxy: Path


def keys(layout: Layout) -> Credentials:
    """Make or keep the control plane's keys, certificates and kubeconfigs, which hold for loopback."""
    return credentials.prepare(home=layout.home, api_port=API_PORT, node_name=layout.node(1).name)


def node_keys(layout: Layout, node: Node) -> NodeKeys:
    """Make or keep a node's keys; it finds the API server at the first node's address."""
    authority = Authority(layout.home / "pki", "ca")
    user = f"system:node:{node.name}"

    def client(name: str, leaf: Leaf) -> Path:
        path = layout.home / "kubeconfigs" / f"{name}.kubeconfig"
        kubeconfig.write(
            path,
            server=f"https://{FIRST_ADDRESS}:{API_PORT}",
            authority=authority.pair.certificate,
            client=authority.issue(f"client-{name}", leaf),
            user=leaf.common_name,
            namespace="default",
        )
        return path

    server = Leaf(user, ("system:nodes",), usages=(SERVER,), hosts=(node.name, node.address))
    return NodeKeys(
        authority=authority.pair.certificate,
        server=authority.issue(f"kubelet-{node.number}", server),
        kubelet=client(f"kubelet-{node.number}", Leaf(user, ("system:nodes",))),
        kube_proxy=client("kube-proxy", Leaf("system:kube-proxy")),
    )


def specs(binaries: Binaries, files: Credentials) -> list[ProcessSpec]:
    """etcd, API server, controller manager and scheduler."""
    etcd, api_server, controller_manager, scheduler = process_specs.control_plane(binaries, files, PORTS)
    authority = files.authority
    names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc")
    addresses = (FIRST_ADDRESS, "127.0.0.1", credentials.SERVICE_ADDRESS)
    hosts = (*addresses, *names, f"{names[-1]}.{credentials.CLUSTER_DOMAIN}")
    server = Authority(authority.parent, "ca").issue(
        API_SERVER_PAIR, Leaf("kube-apiserver", usages=(SERVER,), hosts=hosts)
    )
    return [
        etcd,
        _with_flags(
            api_server,
            {
                "advertise-address": FIRST_ADDRESS,
                "allow-privileged": "true",
                "bind-address": "0.0.0.0",
                "endpoint-reconciler-type": "lease",
                "tls-cert-file": str(server.certificate),
                "tls-private-key-file": str(server.key),
            },
        ),
        _with_flags(
            controller_manager,
            {
                "cluster-signing-cert-file": str(authority),
                "cluster-signing-key-file": str(authority.with_suffix(".key")),
                "controllers": "*",
                "node-monitor-grace-period": NODE_LOST,
            },
        ),
        scheduler,
    ]


def _with_flags(spec: ProcessSpec, flags: Mapping[str, str]) -> ProcessSpec:
    """`spec` with these flags instead of its own of the same name."""
    kept = [word for word in spec.argv if word.partition("=")[0].removeprefix("--") not in flags]
    return dataclasses.replace(spec, argv=[*kept, *(f"--{name}={value}" for name, value in flags.items())])
