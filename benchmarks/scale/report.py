"""Figures of several rounds as a table and as JSON."""

import os
import platform
import statistics
from collections.abc import Callable, Sequence

from .measure import Figures

COLUMNS: tuple[tuple[str, Callable[[Figures], float]], ...] = (
    ("pods made, s", lambda it: it.created),
    ("Running, s", lambda it: it.running),
    ("Succeeded, s", lambda it: it.succeeded),
    ("deleted, s", lambda it: it.deleted),
    ("requests a job", lambda it: it.requests),
    ("CPU, s", lambda it: it.cpu),
    ("PSS, MB", lambda it: it.pss),
    ("peak RSS, MB", lambda it: it.peak),
)
Rounds = Sequence[Sequence[Figures]]
"""A sequence for each round; a number of jobs that was asked for twice is there twice, of each name."""


def table(rounds: Rounds) -> str:
    """Markdown: a table for each number of jobs, with ratios of the first one measured to each other."""
    first = rounds[0]
    parts = []
    for jobs in dict.fromkeys(figures.jobs for figures in first):
        names = list(dict.fromkeys(figures.who for figures in first if figures.jobs == jobs))
        rows = [[name, *(spread(_values(rounds, name, jobs, read)) for _, read in COLUMNS)] for name in names]
        for other in names[1:]:
            ratios = [_ratios(rounds, names[0], other, jobs, read) for _, read in COLUMNS]
            rows.append([f"{names[0]} / {other}", *map(spread, ratios)])
        parts.append(
            f"{jobs} job{'s' if jobs > 1 else ''}\n\n{_markdown(['', *(name for name, _ in COLUMNS)], rows)}"
        )
    return "\n\n".join(parts)


def as_json(rounds: Rounds) -> dict:
    return {
        "machine": {
            "cores": os.cpu_count(),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "system": platform.platform(),
            "python": platform.python_version(),
            "load": os.getloadavg(),
        },
        "rounds": [[vars(figures) for figures in one] for one in rounds],
    }


def spread(values: Sequence[float]) -> str:
    """The median, and with several values the least and the most."""
    if len(values) == 1:
        return _short(values[0])
    return f"{_short(statistics.median(values))} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _values(rounds: Rounds, who: str, jobs: int, read: Callable[[Figures], float]) -> list[float]:
    return [read(figures) for one in rounds for figures in one if (figures.who, figures.jobs) == (who, jobs)]


def _ratios(rounds: Rounds, one: str, other: str, jobs: int, read: Callable[[Figures], float]) -> list[float]:
    pairs = zip(_values(rounds, one, jobs, read), _values(rounds, other, jobs, read), strict=True)
    return [mine / theirs if theirs else float("nan") for mine, theirs in pairs]


def _markdown(head: list[str], rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
