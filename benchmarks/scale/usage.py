"""What a process and its children cost: CPU seconds and memory, from proc(5)."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

EVERY = 1.0  # seconds between two looks at the memory
MB = 1024 * 1024


class Usage:
    """Watches over the session of `leader` (a process id) within `async with`; then read `cpu` and `pss`."""

    def __init__(self, leader: int):
        self._leader = leader
        self._task: asyncio.Task | None = None
        self._cpu_before = 0.0
        self.cpu = 0.0
        """Seconds that were used within."""
        self.pss = 0.0
        """MB, the most that was seen: proportional set size."""

    async def __aenter__(self) -> "Usage":
        self._cpu_before = self._cpu()
        self._task = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self.cpu = self._cpu() - self._cpu_before
        self.pss = max(self.pss, self._pss())

    @property
    def peak(self) -> float:
        """MB of resident memory at its peak, since the processes started."""
        lines = (line for stat in self._processes() for line in (stat.parent / "status").read_text().splitlines())
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / MB

    async def _look(self) -> None:
        while True:
            self.pss = max(self.pss, self._pss())
            await asyncio.sleep(EVERY)

    def _pss(self) -> float:
        rollups = [(stat.parent / "smaps_rollup").read_text().splitlines() for stat in self._processes()]
        rows = (row for rollup in rollups for row in rollup)
        return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) * 1024 / MB

    def _cpu(self) -> float:
        """User and system time, of ended children that were waited for, too."""
        ticks = sum(sum(map(int, _fields(stat)[11:15])) for stat in self._processes())
        return ticks / os.sysconf("SC_CLK_TCK")

    def _processes(self) -> Iterator[Path]:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(_fields(stat)[3]) == self._leader:
                    yield stat


def _fields(stat: Path) -> list[str]:
    """From the third field, the state, on: the second, the name, may hold spaces."""
    return stat.read_text().rpartition(")")[2].split()
