"""One user's large job beside another user's small ones: how long the small ones wait, and the operator's memory.

On a control plane of its own with kwok's nodes. Ada makes one job of many replicas. Bob makes jobs of one replica,
one after the other: before Ada's job, and while its pods are being made. Each time is from Bob's request until his
pod is seen. Then all jobs are deleted, and once they are gone, the operator's memory is read again.

    make bench-large-job ARGS='--replicas 1500 --json figures.json'
    python -m benchmarks.large_job --operator 'mine=my-operator --kubeconfig {kubeconfig}'
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.scale import cluster as clusters
from benchmarks.scale import programs
from benchmarks.scale.measure import PATIENCE, job_of
from benchmarks.scale.observe import Observer
from benchmarks.scale.operators import Command, Ours, Running
from benchmarks.scale.report import spread
from kf_spawner.tfjob.names import TFJOBS

IDLE_JOBS = 20
PAUSE = 0.2  # seconds between two of Bob's jobs
SETTLE = 30.0  # seconds from the last pod's end to the last look at the memory
LARGE = "large"


@dataclass
class Figures:
    """Seconds, and MB of resident memory."""

    who: str
    replicas: int
    idle: list[float] = field(default_factory=list)
    """For each of Bob's jobs while the operator has nothing else to do."""
    beside: list[float] = field(default_factory=list)
    """While the pods of Ada's job are made."""
    created: float = 0.0
    """From Ada's request to her last pod."""
    before: float = 0.0
    """Memory before Ada's job."""
    peak: float = 0.0
    """The most so far, once Ada's pods are there."""
    after: float = 0.0
    """Some time after all jobs and their pods are gone."""

    def lines(self) -> Iterator[str]:
        ratio = statistics.median(self.beside) / statistics.median(self.idle)
        yield f"{self.who}: a job of {self.replicas} replicas, its pods made in {self.created:.1f} s"
        yield f"  another user's pod, idle operator: {spread(self.idle)} s, {len(self.idle)} jobs"
        yield f"  another user's pod, beside it: {spread(self.beside)} s, {len(self.beside)} jobs; ratio {ratio:.2f}"
        yield f"  memory: {self.before:.0f} MB before, {self.peak:.0f} MB at most, {self.after:.0f} MB after it"


async def measure(cluster: clusters.Cluster, operator: Command, replicas: int) -> Figures:
    figures = Figures(operator.name, replicas)
    for namespace in ("ada", "bob"):
        await cluster.make_namespace(namespace)
    await operator.prepare(cluster)
    async with (
        operator.running(cluster) as running,
        Observer(cluster.client, "ada", jobs=False) as ada,
        Observer(cluster.client, "bob", jobs=False) as bob,
    ):
        small = _small_jobs(cluster, bob, running)
        await anext(small)  # the first one warms the operator up
        figures.idle = [await anext(small) for _ in range(IDLE_JOBS)]
        figures.before = _memory(running, "VmRSS")
        began = time.monotonic()
        await cluster.client.create(TFJOBS, job_of(LARGE, "ada", workers=replicas))
        all_there = asyncio.ensure_future(ada.until(lambda: ada.seen("Pod", "") >= replicas))
        async with asyncio.timeout(PATIENCE):
            while not all_there.done():
                figures.beside.append(await anext(small))
        figures.created = all_there.result() - began
        figures.peak = _memory(running, "VmHWM")
        for namespace, observer in (("ada", ada), ("bob", bob)):
            for job in (await cluster.client.list(TFJOBS, namespace))["items"]:
                await cluster.client.delete(TFJOBS, job["metadata"]["name"], namespace)
            async with asyncio.timeout(PATIENCE):
                await observer.until(lambda observer=observer: not any(observer.present.values()))
        await asyncio.sleep(SETTLE)
        figures.after = _memory(running, "VmRSS")
    return figures


async def _small_jobs(cluster: clusters.Cluster, bob: Observer, running: Running):
    """Makes one of Bob's jobs whenever it is asked for the next; how long it took to have its pod."""
    for number in itertools.count(1):
        began = time.monotonic()
        await cluster.client.create(TFJOBS, job_of(f"small-{number}", "bob", workers=1))
        async with asyncio.timeout(PATIENCE):
            seen = await bob.until(lambda count=number: bob.seen("Pod", "") >= count)
        running.check()
        cluster.check()
        yield seen - began
        await asyncio.sleep(PAUSE)


def _memory(running: Running, line: str) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0]) / 1024


async def run(operators: list[Command], replicas: int, file: Path | None) -> None:
    kwok = await programs.kwok()
    done = []
    for operator in operators:
        async with clusters.running(kwok) as cluster:
            done.append(await measure(cluster, operator, replicas))
        print("\n".join(done[-1].lines()), flush=True)
    if file:
        file.write_text(json.dumps([asdict(figures) for figures in done], indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=1500, help="replicas of the large job (default 1500)")
    parser.add_argument(
        "--operator", action="append", default=[], metavar="NAME=COMMAND", help="another operator beside ours"
    )
    parser.add_argument("--json", type=Path, help="where to write all figures to")
    arguments = parser.parse_args()
    others = [Command(*given.split("=", 1)) for given in arguments.operator]
    asyncio.run(run([Ours(), *others], arguments.replicas, arguments.json))


if __name__ == "__main__":
    main()
