"""Decides how long somebody who gave wrong passwords has to wait. Pure: a clock is handed in, memory is bounded.

A source is an address, or a browser in which somebody has logged in before. Two counts:

- by source, because one machine can guess many passwords;
- by user, because many machines can guess the password of one. This count holds up only sources that gave a wrong
  password themselves: others' guesses lock nobody out, wherever they come from.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_OF_SOURCE = 5
"""Wrong passwords of one source in a row until it has to wait."""

FREE_OF_USER = 20
"""Wrong passwords for one user, from anywhere, until sources with a wrong password have to wait."""

LONGEST = 300.0
"""Seconds of the longest wait. The first is 1 s, each further wrong password doubles it."""

FORGOTTEN_AFTER = 3600.0
"""Seconds after the last wrong password until a count begins anew."""

ROOM = 10_000
"""Sources and users that are remembered, each. Beyond it the one with the oldest wrong password is forgotten."""


@dataclass
class Count:
    """Wrong passwords, and the times of the last one and of the next attempt, in seconds of the clock."""

    wrong: int = 0
    last: float = 0.0
    next: float = 0.0


class Counts:
    """The counts of one kind of key."""

    def __init__(self, free: int, *, clock: Callable[[], float], room: int = ROOM) -> None:
        self._free, self._clock, self._room = free, clock, room
        self._counts: OrderedDict[str, Count] = OrderedDict()  # the oldest wrong password first

    def __contains__(self, key: str) -> bool:
        return self._of(key).wrong > 0

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, key: str) -> float:
        """Seconds until the next attempt; 0 for now."""
        return max(0.0, self._of(key).next - self._clock())

    def add(self, key: str) -> None:
        """Counts a wrong password."""
        count, now = self._of(key), self._clock()
        count.wrong += 1
        count.last = now
        beyond = count.wrong - self._free
        count.next = now + min(LONGEST, 2.0 ** min(beyond, 10)) if beyond >= 0 else now
        self._counts[key] = count
        self._counts.move_to_end(key)
        if len(self._counts) > self._room:
            self._counts.popitem(last=False)

    def forget(self, key: str) -> None:
        self._counts.pop(key, None)

    def _of(self, key: str) -> Count:
        count = self._counts.get(key)
        return count if count and self._clock() - count.last < FORGOTTEN_AFTER else Count()


class Brake:
    """The counts of sources and users. Where the user is None, only the source counts."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sources = Counts(FREE_OF_SOURCE, clock=clock)
        self._users = Counts(FREE_OF_USER, clock=clock)

    def wait(self, source: str, user: str | None) -> float:
        """Seconds until this source may try a password of this user; 0 for now."""
        if source not in self._sources:
            return 0.0
        return max(self._sources.wait(source), self._users.wait(user) if user is not None else 0.0)

    def wrong(self, source: str, user: str | None) -> None:
        """Counts a wrong password. One that was not looked at does not count."""
        self._sources.add(source)
        if user is not None:
            self._users.add(user)

    def right(self, source: str) -> None:
        """Somebody there knows the password."""
        self._sources.forget(source)


def in_words(seconds: float) -> str:
    """A wait, rounded up."""
    whole = math.ceil(seconds)
    if whole < 100:
        return f"{whole} second{'s' if whole > 1 else ''}"
    return f"{math.ceil(whole / 60)} minutes"
