"""WebSocket frames of zeros (RFC 6455, 5.2): one frame a message."""

import functools
from collections.abc import Iterator

BINARY = 0x82
"""A frame that is a whole binary message."""
MASKED = 0x80


@functools.lru_cache
def frame(length: int, *, masked: bool) -> bytes:
    """A message of `length` zeros; a client's is masked, here with zeros."""
    mask = MASKED if masked else 0
    if length < 126:
        head = bytes([BINARY, mask | length])
    elif length < 65536:
        head = bytes([BINARY, mask | 126]) + length.to_bytes(2)
    else:
        head = bytes([BINARY, mask | 127]) + length.to_bytes(8)
    return head + bytes(4 if masked else 0) + bytes(length)


class Frames:
    """Finds the frames in what comes."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._length = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[int]:
        """The lengths of the messages that have come to their end, in bytes."""
        at = 0
        while at < len(data):
            if self._left:
                taken = min(self._left, len(data) - at)
                self._left -= taken
                at += taken
                if not self._left:
                    yield self._length
                continue
            self._head.append(data[at])
            at += 1
            if len(self._head) == _head_length(self._head):
                self._length = _payload_length(self._head)
                self._left = self._length
                self._head.clear()
                if not self._left:
                    yield 0


def _head_length(head: bytearray) -> int:
    if len(head) < 2:
        return 2
    extended = {126: 2, 127: 8}.get(head[1] & 0x7F, 0)
    return 2 + extended + (4 if head[1] & MASKED else 0)


def _payload_length(head: bytearray) -> int:
    length = head[1] & 0x7F
    return {126: int.from_bytes(head[2:4]), 127: int.from_bytes(head[2:10])}.get(length, length)
