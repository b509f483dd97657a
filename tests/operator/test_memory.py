"""Memory that is free is given back to the system."""

import ctypes
from pathlib import Path

import pytest

from kf_spawner.operator.memory import give_back

PIECE, COUNT = 4000, 20_000  # 80 MB, in pieces that come from the heap


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="only glibc can be asked")
def test_free_memory_below_a_used_piece_is_given_back():
    pieces = [bytes(PIECE) for _ in range(COUNT)]
    last = pieces[-1]
    pieces.clear()
    before = resident()
    give_back()
    assert last
    assert before - resident() > PIECE * COUNT / 2


def resident() -> int:
    """Bytes."""
    line = Path("/proc/self/status").read_text().partition("VmRSS:")[2]
    return int(line.split()[0]) * 1024
