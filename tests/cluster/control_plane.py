"""The local cluster's control plane, with what a real cluster has besides: other nodes, endpoints, all controllers.

Owns keys, kubeconfigs and the four command lines; knows nothing of the node.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.controlplane import credentials, processes
from kf_spawner.localcluster.controlplane.binaries import Binaries
from kf_spawner.localcluster.controlplane.credentials import Credentials
from kf_spawner.localcluster.controlplane.pki import SERVER, Authority, Leaf, Pair
from kf_spawner.localcluster.supervisor import ProcessSpec

from .layout import API_PORT, NODE, NODE_ADDRESS, PORTS, Layout


@dataclass(frozen=True)
class Keys:
    """The files that the cluster's processes are started with."""

    files: Credentials
    kubelet_server: Pair
    kube_proxy: Path
    """kube-proxy's kubeconfig."""


def keys(layout: Layout) -> Keys:
    """Make or keep every key, certificate and kubeconfig. They hold for loopback: all that uses them is inside."""
    files = credentials.prepare(home=layout.home, api_port=API_PORT, node_name=NODE)
    authority = Authority(layout.home / "pki", "ca")
    kubelet = Leaf(f"system:node:{NODE}", ("system:nodes",), usages=(SERVER,), hosts=(NODE, NODE_ADDRESS))
    return Keys(
        files=files,
        kubelet_server=authority.issue("kubelet", kubelet),
        kube_proxy=credentials.add_client(
            files, authority=authority, name="kube-proxy", leaf=Leaf("system:kube-proxy")
        ),
    )


def specs(binaries: Binaries, files: Credentials) -> list[ProcessSpec]:
    """etcd, API server, controller manager and scheduler."""
    etcd, api_server, controller_manager, scheduler = processes.control_plane(binaries, files, PORTS)
    authority = files.authority
    return [
        etcd,
        _with_flags(
            api_server,
            {
                "advertise-address": NODE_ADDRESS,
                "allow-privileged": "true",
                "bind-address": "0.0.0.0",
                "endpoint-reconciler-type": "lease",
            },
        ),
        _with_flags(
            controller_manager,
            {
                "cluster-signing-cert-file": str(authority),
                "cluster-signing-key-file": str(authority.with_suffix(".key")),
                "controllers": "*",
            },
        ),
        scheduler,
    ]


def _with_flags(spec: ProcessSpec, flags: Mapping[str, str]) -> ProcessSpec:
    """`spec` with these flags instead of its own of the same name."""
    kept = [word for word in spec.argv if word.partition("=")[0].removeprefix("--") not in flags]
    return dataclasses.replace(spec, argv=[*kept, *(f"--{name}={value}" for name, value in flags.items())])
