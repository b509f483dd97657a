"""Kubelet, kube-proxy, CoreDNS and pause, built from the Go modules that `go/` pins, into the user's cache."""

from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.controlplane import binaries, build

from .layout import FILES

MODULE = build.Module(
    folder=FILES / "go",
    packages={
        "coredns": "./coredns",
        "kube-proxy": "k8s.io/kubernetes/cmd/kube-proxy",
        "kubelet": "k8s.io/kubernetes/cmd/kubelet",
        "pause": "./pause",
    },
    programs={name: name for name in ("coredns", "kube-proxy", "kubelet", "pause")},
    title="the test cluster",
)


@dataclass(frozen=True)
class Programs:
    """All programs of a cluster that are not the machine's."""

    control_plane: binaries.Binaries
    coredns: Path
    kube_proxy: Path
    kubelet: Path
    pause: Path


async def ensure() -> Programs:
    """The programs, found or built (some 7 minutes on 2 cores the first time)."""

    def progress(text: str) -> None:
        print(text, flush=True)

    control_plane = await binaries.ensure(progress)
    built = await build.ensure(MODULE, list(MODULE.programs), cache=build.cache_root(), progress=progress)
    return Programs(control_plane=control_plane, **{name.replace("-", "_"): path for name, path in built.items()})
