"""Bytes as they come -> lines, in time and memory that do not depend on how long a line is."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import NamedTuple

_NEWLINE = 0x0A
TURN = 256
"""How many lines, or objects of a list, are given before the event loop takes a turn: one takes 0.1 ms or less."""


class Line(NamedTuple):
    """A line with its newline. A long one comes in pieces: all but the last have `continues` and no newline.

    The last line of all may lack its newline.
    """

    data: bytes
    continues: bool = False


async def split_lines(chunks: AsyncGenerator[bytes, None], *, longest: int) -> AsyncGenerator[Line, None]:
    """The lines of `chunks`. What is longer than `longest` bytes is cut there, between two characters of UTF-8.

    Where a line is cut depends on the line alone: who reads it again gets the same pieces.
    """
    pending = bytearray()
    given = 0
    async with contextlib.aclosing(chunks):
        async for chunk in chunks:
            searched, begin = len(pending), 0
            pending += chunk
            while cut := _cut(pending, begin, max(begin, searched), longest):
                yield Line(bytes(pending[begin:cut]), continues=pending[cut - 1] != _NEWLINE)
                begin = cut
                given += 1
                if given % TURN == 0:
                    await asyncio.sleep(0)
            del pending[:begin]
    if pending:
        yield Line(bytes(pending))


def _cut(data: bytearray, begin: int, searched: int, longest: int) -> int:
    """Where the line that begins at `begin` ends or is cut; 0 if that is not known yet."""
    end = data.find(b"\n", searched, begin + longest + 1)
    if end >= 0:
        return end + 1
    if len(data) - begin <= longest:
        return 0
    cut = begin + longest
    while data[cut] & 0xC0 == 0x80 and cut > begin + longest - 3:  # within a character
        cut -= 1
    return cut
