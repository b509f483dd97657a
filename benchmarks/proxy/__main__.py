"""The hub's proxy beside configurable-http-proxy on Node.js, in front of one server that costs next to nothing.

    make bench-proxy ARGS='--rounds 10 --seconds 1 --size 1024'

Both run the whole time. In each round each kind of work loads one, then the other, by turns first, so that both see
the same machine. Prints medians with the least and the most; a ratio is ours divided by the peer's in the same round,
and under 1 ours is better. CPU is the proxy's own, all threads.
"""

import argparse
import functools
import statistics
from collections import defaultdict
from collections.abc import Iterable

from . import load
from .subjects import Subject, running

OPEN = 200
"""WebSockets that are open and idle when memory is measured."""


class Figures:
    """What was measured: name and unit of a figure -> subject -> one value a round. Less is better in all."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def of(self, name: str, unit: str, subject: Subject) -> list[float]:
        return self._values[name, unit][subject.name]

    def table(self, subjects: Iterable[Subject]) -> str:
        """In Markdown."""
        ours, peer = (subject.name for subject in subjects)
        lines = [f"| | {ours} | {peer} | ratio |", "|---|---|---|---|"]
        for (name, unit), values in self._values.items():
            ratios = [mine / other for mine, other in zip(values[ours], values[peer], strict=True) if other]
            row = (f"{name}, {unit}", spread(values[ours]), spread(values[peer]), spread(ratios))
            lines.append(f"| {' | '.join(row)} |")
        return "\n".join(lines)


def spread(values: list[float]) -> str:
    """The median, with the least and the most."""
    if not values:
        return "none"
    digits = 0 if statistics.median(values) >= 100 else 1 if statistics.median(values) >= 10 else 2
    least, most = (f"{value:.{digits}f}" for value in (min(values), max(values)))
    return f"{statistics.median(values):.{digits}f} ({least} to {most})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of small requests and of messages (default 1)")
    parser.add_argument("--size", type=int, default=1024, help="of a body, in MiB (default 1024)")
    options = parser.parse_args()
    figures = Figures()
    with running() as subjects:
        for subject in subjects:
            figures.of("memory, idle", "MB", subject).append(subject.memory())
        for turn in range(options.rounds):
            ordered = subjects if turn % 2 else subjects[::-1]
            round_trips(figures, ordered, options.seconds)
            bodies(figures, ordered, options.size * 2**20)
        for subject in subjects:
            open_sockets(figures, subject)
    print(figures.table(subjects))


def round_trips(figures: Figures, subjects: Iterable[Subject], seconds: float) -> None:
    """Small requests and messages."""
    runs: dict[str, load.Run] = {}
    for connections in (1, 16):
        runs[f"requests, {connections} at a time"] = functools.partial(
            load.requests, connections=connections, seconds=seconds
        )
    for connections, size in ((1, 100), (16, 100), (4, 100_000)):
        runs[f"messages of {size:,} bytes, {connections} at a time"] = functools.partial(
            load.messages, connections=connections, seconds=seconds, size=size
        )
    for name, run in runs.items():
        for subject in subjects:
            began = subject.cpu()
            done = run(subject.port)
            figures.of(name, "µs of CPU each", subject).append((subject.cpu() - began) / done.count * 1e6)
            figures.of(name, "µs each", subject).append(done.seconds / done.count * 1e6)
            figures.of(name, "ms, median", subject).append(done.middle * 1e3)
            figures.of(name, "ms, 99th percentile", subject).append(done.slow * 1e3)


def bodies(figures: Figures, subjects: Iterable[Subject], size: int) -> None:
    """One large body in each direction."""
    for name, run in (("body down", load.download), ("body up", load.upload)):
        for subject in subjects:
            began = subject.cpu()
            with subject.growth(figures.of(name, "MB more memory at most", subject)):
                done = run(subject.port, size)
            figures.of(name, "s of CPU a GiB", subject).append((subject.cpu() - began) / done.count)
            figures.of(name, "s a GiB", subject).append(done.seconds / done.count)


def open_sockets(figures: Figures, subject: Subject) -> None:
    """Memory at the end, without and with idle WebSockets."""
    figures.of("memory, after all this", "MB", subject).append(subject.memory())
    sockets = [load.web_socket(subject.port) for _ in range(OPEN)]
    figures.of(f"memory, then with {OPEN} open WebSockets", "MB", subject).append(subject.memory())
    for each in sockets:
        each.close()


if __name__ == "__main__":
    main()
