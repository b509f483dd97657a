"""The line up to which a container's log was read, and how reading continues exactly after it. Pure.

The Kubernetes API gives a log's lines in order, each with the time when it was written. It can begin at a time in
whole seconds. Several lines may have one time, and the times of standard output and standard error may be a little
out of order. So a cursor names a line by its time, its number among the lines of that time, and a checksum of its
text. To resume, read again from shortly before that time, find that line, and pass on what follows it.

Two things may have changed in between. The log was rotated: its beginning, and maybe the line itself, is gone. The
container was restarted: the log is another one.
"""

import re
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

from kf_spawner.k8s import times

NANOSECONDS = 1_000_000_000
OUT_OF_ORDER = NANOSECONDS
"""How far the times of neighbouring lines may be out of order, in nanoseconds."""
TIMES = 4096
"""How many times keep their number of lines: far more than are ever out of order."""
CURSOR = re.compile(r"([\w-]{1,63})\.(\d{1,9})\.(\d{1,19})\.(\d{1,9})\.([0-9a-f]{8})", re.ASCII)


class CursorError(ValueError):
    """A text that is not a cursor."""


@dataclass(frozen=True)
class Cursor:
    """A line of a log. `time` is in nanoseconds since 1970; `count` counts lines of that time, from 1.

    `pod` is the pod's uid; `restart` says which of its container's runs wrote the line, from 0.
    """

    pod: str
    restart: int
    time: int
    count: int
    checksum: int

    def __str__(self) -> str:
        return f"{self.pod}.{self.restart}.{self.time}.{self.count}.{self.checksum:08x}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that `str` gave. Raises CursorError."""
        found = CURSOR.fullmatch(text)
        if found is None:
            raise CursorError(f"{text[:100]!r} is not a cursor")
        pod, restart, time, count, checksum = found.groups()
        return cls(pod, int(restart), int(time), int(count), int(checksum, 16))

    @property
    def since(self) -> str:
        """The time to read again from, in RFC 3339: in whole seconds, the API's unit."""
        return times.text(datetime.fromtimestamp((self.time - OUT_OF_ORDER) // NANOSECONDS, UTC))


@dataclass(frozen=True)
class Line:
    """A line of a log without its newline. `time` as the API wrote it; both are empty where a line has none.

    A piece of a long line counts as a line with the time of the whole. `continues`: the next piece follows.
    """

    time: str
    text: str
    cursor: Cursor | None
    continues: bool = False


class LogReading:
    """One pass over a container's log: gives every line its cursor, and passes on those after `after`.

    Feed it all lines in order, as the API gives them with time stamps, from `after.since` on or from an earlier time.
    """

    def __init__(self, pod: str, restart: int, after: Cursor | None = None):
        self._pod = pod
        self._restart = restart
        self._after = after if after is not None and after.pod == pod else None
        self._counts: OrderedDict[int, int] = OrderedDict()
        self._held: list[Line] = []
        self._of_piece: tuple[str, int] | None = None  # the line's time, where the next text continues it
        self.last: Cursor | None = None
        """The last line that was fed, new or not."""
        self.missed = False
        """Whether the line `after` turned out not to be in this log."""

    def take(self, raw: str, *, continues: bool = False) -> list[Line]:
        """The lines that this one shows to be new. `continues`: what is fed next continues this line."""
        line = self._numbered(raw, continues)
        if line.cursor is None:
            return [line]  # a message of the kubelet's own
        self.last = line.cursor
        if self._after is None:
            return [line]
        self._held.append(line)
        return self._decide(line.cursor, self._after)

    def rest(self) -> list[Line]:
        """Call it at the end of the log: the lines that were held back and are new."""
        return self._without_the_line(self._after) if self._after is not None else []

    def _numbered(self, raw: str, continues: bool) -> Line:
        if self._of_piece:
            (written, time), text = self._of_piece, raw
        else:
            written, _, text = raw.partition(" ")
            try:
                time = times.parse_nanoseconds(written)
            except ValueError:
                return Line("", raw, None)
        self._of_piece = (written, time) if continues else None
        count = self._counts[time] = self._counts.get(time, 0) + 1
        if len(self._counts) > TIMES:
            self._counts.popitem(last=False)
        cursor = Cursor(self._pod, self._restart, time, count, zlib.crc32(text.encode()))
        return Line(written, text, cursor, continues)

    def _decide(self, newest: Cursor, after: Cursor) -> list[Line]:
        if (newest.time, newest.count) == (after.time, after.count):
            if newest.checksum == after.checksum:
                self._after, self._held = None, []
                return []
        elif newest.time <= after.time + OUT_OF_ORDER:
            return []
        return self._without_the_line(after)

    def _without_the_line(self, after: Cursor) -> list[Line]:
        """Handles a line that is not where it was. There are three causes.

        The log was rotated: the line has a smaller number now, or it is gone, and with it all that came before it.
        This is the log of a later run of the container: all of it is new. Or the line was written by a later run than
        its cursor says, because the pod's status lags behind: then every line of this log is older.
        """
        held = [(line, line.cursor) for line in self._held if line.cursor is not None]
        self._after, self._held = None, []
        for index in reversed(range(len(held))):
            cursor = held[index][1]
            if (cursor.time, cursor.checksum) == (after.time, after.checksum):
                return [line for line, _ in held[index + 1 :]]
        self.missed = True
        return [line for line, cursor in held if self._restart != after.restart or cursor.time >= after.time]
