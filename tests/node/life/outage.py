"""A node whose own program is away for a while and then starts anew: ours, or the kubelet of `make cluster`.

While it is away a kubelet is held, and then killed: what watches over it would start it at once.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import outside
from tests.cluster.layout import Layout
from tests.node.local_node import LocalNode
from tests.node.pods import NodeUnderTest


@dataclass(frozen=True)
class Outage:
    """`away()`: until its end the node does nothing; `volume`: the folder of a pod's volume `data`, from outside."""

    target: NodeUnderTest
    away: Callable[[], contextlib.AbstractContextManager[None]]
    volume: Callable[[dict], Path]


def of_local_node(node: LocalNode, namespace: str, *options: str) -> Outage:
    @contextlib.contextmanager
    def away() -> Iterator[None]:
        node.kill()
        try:
            yield
        finally:
            node.start(*options)

    def volume(pod: dict) -> Path:
        return node.root / "pods" / pod["metadata"]["uid"] / "volumes" / "data"

    return Outage(node.target(namespace, backoff=1), away, volume)


def of_kubelet(target: NodeUnderTest, layout: Layout) -> Outage:
    """On the first node of the cluster of that folder, which is up."""

    @contextlib.contextmanager
    def away() -> Iterator[None]:
        found = kubelets(layout)
        for pid in found:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in found:
                os.kill(pid, signal.SIGKILL)

    def volume(pod: dict) -> Path:
        kubelet = layout.node(1).var / "lib" / "kubelet"
        return kubelet / "pods" / pod["metadata"]["uid"] / "volumes" / "kubernetes.io~empty-dir" / "data"

    return Outage(target, away, volume)


def kubelets(layout: Layout) -> list[int]:
    """The kubelet's process on the first node; for a moment after its end there is none."""
    namespace = os.readlink(f"/proc/{outside.machine(layout)}/ns/pid")
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(path / "ns/pid") == namespace and Path(os.readlink(path / "exe")).name == "kubelet":
                found.append(int(path.name))
    return found
