"""Decides how long somebody who gave wrong passwords has to wait. Pure: a clock is handed in, memory is bounded.

A source is an address, or a browser in which somebody has logged in before. Two counts:

- by source, because one machine can guess many passwords;
- one rate for all strangers, because many machines can guess the one password. Strangers are addresses: this rate
  never holds up a known browser.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_OF_SOURCE = 5
"""Wrong passwords of one source in a row until it has to wait."""

FREE_OF_STRANGERS = 100
"""Wrong passwords of all strangers together until each has to wait."""

PAUSE_OF_STRANGERS = 6.0
"""Seconds until all strangers together may give one more: 14,400 guesses a day, from however many addresses."""

LONGEST = 300.0
"""Seconds of the longest wait. The first is 1 s, each further wrong password doubles it."""

FORGOTTEN_AFTER = 3600.0
"""Seconds after the last wrong password until a count begins anew."""

ROOM = 10_000
"""Sources that are remembered. Beyond it the one with the oldest wrong password is forgotten. All strangers together
give fewer wrong passwords in `FORGOTTEN_AFTER`, so they cannot make the hub forget one."""


@dataclass
class Count:
    """Wrong passwords, and the times of the last one and of the next attempt, in seconds of the clock."""

    wrong: int = 0
    last: float = 0.0
    next: float = 0.0


class Counts:
    """The counts of all sources."""

    def __init__(self, *, clock: Callable[[], float], room: int = ROOM) -> None:
        self._clock, self._room = clock, room
        self._counts: OrderedDict[str, Count] = OrderedDict()  # the oldest wrong password first

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, source: str) -> float:
        """Seconds until the next attempt; 0 for now."""
        return max(0.0, self._of(source).next - self._clock())

    def add(self, source: str) -> None:
        """Counts a wrong password."""
        count, now = self._of(source), self._clock()
        count.wrong += 1
        count.last = now
        beyond = count.wrong - FREE_OF_SOURCE
        count.next = now + min(LONGEST, 2.0 ** min(beyond, 10)) if beyond >= 0 else now
        self._counts[source] = count
        self._counts.move_to_end(source)
        if len(self._counts) > self._room:
            self._counts.popitem(last=False)

    def forget(self, source: str) -> None:
        self._counts.pop(source, None)

    def _of(self, source: str) -> Count:
        count = self._counts.get(source)
        return count if count and self._clock() - count.last < FORGOTTEN_AFTER else Count()


class Rate:
    """`free` wrong passwords at once, and one more each `pause` seconds."""

    def __init__(self, free: int, pause: float, *, clock: Callable[[], float]) -> None:
        self._pause, self._clock = pause, clock
        self._ahead = (free - 1) * pause
        self._paid = -math.inf  # when the pauses of all wrong passwords so far are over

    def wait(self) -> float:
        """Seconds until the next attempt; 0 for now."""
        return max(0.0, self._paid - self._clock() - self._ahead)

    def add(self) -> None:
        """Counts a wrong password."""
        self._paid = max(self._paid, self._clock()) + self._pause


class Brake:
    """The counts of sources, and the rate of strangers."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = Counts(clock=clock)
        self._strangers = Rate(FREE_OF_STRANGERS, PAUSE_OF_STRANGERS, clock=clock)

    def wait(self, source: str, *, stranger: bool) -> float:
        """Seconds until this source may try a password; 0 for now."""
        return max(self._sources.wait(source), self._strangers.wait() if stranger else 0.0)

    def wrong(self, source: str, *, stranger: bool) -> None:
        """Counts a wrong password. One that was not looked at does not count."""
        self._sources.add(source)
        if stranger:
            self._strangers.add()

    def right(self, source: str) -> None:
        """Somebody there knows the password."""
        self._sources.forget(source)


def in_words(seconds: float) -> str:
    """A wait, rounded up."""
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{math.ceil(whole / 60)} minutes"
