"""Lines of any length, cut into the same pieces however they come, in time that grows with their bytes alone."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.kube.lines import split_lines
from tests.fixtures.loop_time import cpu_at_most, loop_is_never_held

TEXT = st.text(alphabet="ab\né€😀", max_size=60)


async def chunks(data: bytes, size: int) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def split(data: bytes, *, size: int, longest: int) -> list[tuple[bytes, bool]]:
    return [tuple(line) async for line in split_lines(chunks(data, size), longest=longest)]


@given(text=TEXT, size=st.integers(1, 70), longest=st.integers(4, 20))
async def test_pieces_are_the_same_whatever_the_chunks_are(text, size, longest):
    data = text.encode()
    pieces = await split(data, size=size, longest=longest)
    assert pieces == await split(data, size=1000, longest=longest)
    assert b"".join(piece for piece, _ in pieces) == data
    for piece, continues in pieces:
        assert len(piece.rstrip(b"\n")) <= longest
        assert piece.decode().count("\n") == piece.endswith(b"\n")
        assert not continues or len(piece) > longest - 4
    whole = {line for line in data.splitlines(keepends=True) if len(line.rstrip(b"\n")) <= longest}
    assert whole <= {piece for piece, continues in pieces if not continues}


async def test_bytes_that_are_no_text_are_cut_as_well():
    pieces = await split(b"\x80" * 30, size=7, longest=10)
    assert b"".join(piece for piece, _ in pieces) == b"\x80" * 30
    assert max(len(piece) for piece, _ in pieces) <= 10


@pytest.mark.parametrize("longest", [64 * 1024, 2**25])
async def test_a_line_of_many_chunks_takes_time_in_proportion(longest):
    with cpu_at_most(1.0):
        pieces = await split(b"y" * 2**24, size=2**14, longest=longest)
    assert sum(len(piece) for piece, _ in pieces) == 2**24


async def test_lines_of_nothing_do_not_hold_the_loop():
    async with loop_is_never_held():
        async for _ in split_lines(chunks(b"\n" * 50_000, 2**18), longest=100):
            sum(range(200))  # what somebody does with a line


async def test_whoever_stops_reading_closes_what_was_read():
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"a\n"
        finally:
            closed.set()

    lines = split_lines(endless(), longest=10)
    await anext(lines)
    await lines.aclose()
    assert closed.is_set()
