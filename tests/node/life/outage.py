"""A node whose own program is down for a while and then restarts: ours, or the kubelet of `make cluster`.

While it is away a kubelet is held, and then killed: what watches over it would start it at once.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
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


class SharedOutage:
    """One outage that several parties go through: it begins when all have entered, and ends when all have left.

        async with shared:      # the node is away

    Each party is a coroutine that does so once, run by `through`: one that fails before does not keep the others.
    """

    def __init__(self, outage: Outage, parties: int):
        self.volume = outage.volume
        self._outage = outage
        self._entered, self._left = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self._parties = parties
        self._away, self._back = asyncio.Event(), asyncio.Event()

    async def happen(self) -> None:
        """Returns when it is over."""
        await self._all(self._entered)
        with self._outage.away():
            self._away.set()
            await self._all(self._left)
        self._back.set()

    async def through(self, party: Coroutine[None, None, None]) -> None:
        try:
            await party
        finally:
            # Where it has not been there: for the count. What is counted twice is not waited for any more.
            self._entered.release()
            self._left.release()

    async def __aenter__(self) -> None:
        self._entered.release()
        await self._away.wait()

    async def __aexit__(self, *_exc: object) -> None:
        self._left.release()
        await self._back.wait()

    async def _all(self, counted: asyncio.Semaphore) -> None:
        for _ in range(self._parties):
            await counted.acquire()


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
