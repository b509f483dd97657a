"""Turns the output of uv into a few lines of progress for a user who waits. Pure."""

import re
from collections.abc import Callable

RESOLVED = re.compile(r"Resolved (\d+) packages? in")
DOWNLOADING = re.compile(r"Downloading (\S+) \(([\d.]+)([KMG]iB)\)")
DOWNLOADED = re.compile(r"\s*Downloaded (\S+)")
PREPARED = re.compile(r"Prepared (\d+) packages? in")
MIB = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
WORTH_A_LINE = 20.0
"""MiB. A smaller package arrives before a user can read its line."""


class InstallProgress:
    """Takes the lines of uv and calls `say` when there is progress to report."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.packages = 0
        self._say = say
        self._sizes: dict[str, float] = {}
        self._missing: dict[str, float] = {}

    def feed(self, line: str) -> None:
        """One line of uv's output."""
        if match := RESOLVED.match(line):
            self.packages = int(match[1])
            self._say(f"Resolved {self.packages} packages")
        elif match := DOWNLOADING.match(line):
            size = float(match[2]) * MIB[match[3]]
            self._sizes[match[1]] = self._missing[match[1]] = size
            if size >= WORTH_A_LINE:
                self._say(f"Downloading {match[1]} ({size:.0f} MiB)")
        elif match := DOWNLOADED.match(line):
            self._missing.pop(match[1], None)
            if self._sizes.get(match[1], 0) >= WORTH_A_LINE:
                self._say(f"Downloaded {match[1]}{self._rest()}")
        elif PREPARED.match(line):
            self._say(f"Downloaded all; installing {self.packages} packages")

    def _rest(self) -> str:
        left = sum(self._missing.values())
        return f"; {left:.0f} MiB to go: {', '.join(sorted(self._missing))}" if left >= 1 else ""
