"""Compressed bodies: their size is known before they take memory. Pure.

A kilobyte may stand for a megabyte. So a body is decompressed twice: once piece by piece, to count its bytes, and
once to keep them, if they are not too many. zlib lets other threads run meanwhile.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from .errors import invalid

PLAIN = "identity"
PIECE = 2**18
"""Bytes that are taken, and made, at a time."""

_WINDOW_BITS = {"gzip": zlib.MAX_WBITS + 16, "x-gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}


@dataclass(frozen=True)
class Body:
    """A body as it was sent. `size`: bytes that it stands for."""

    sent: bytes
    encoding: str
    size: int

    def decoded(self) -> bytes:
        """What it stands for."""
        return self.sent if self.encoding == PLAIN else b"".join(_pieces(self.sent, self.encoding))


def known(header: str | None) -> str:
    """The encoding that a request's Content-Encoding names. Raises `ServingError` for one that cannot be read."""
    encoding = (header or PLAIN).strip().lower()
    if encoding != PLAIN and encoding not in _WINDOW_BITS:
        raise invalid(f"Content-Encoding {encoding[:100]!r} cannot be read: send gzip, deflate or no such header")
    return encoding


def measured(sent: bytes, encoding: str, largest: int) -> Body:
    """A body with its size. Counting stops soon after `largest`. Raises `ServingError` if it is not what it says."""
    if encoding == PLAIN:
        return Body(sent, encoding, len(sent))
    size = 0
    for piece in _pieces(sent, encoding):
        size += len(piece)
        if size > largest:
            break
    return Body(sent, encoding, size)


def _pieces(sent: bytes, encoding: str) -> Iterator[bytes]:
    bits = _WINDOW_BITS[encoding]
    if encoding == "deflate" and sent[:1] and sent[0] & 15 != zlib.DEFLATED:
        bits = -zlib.MAX_WBITS  # without zlib's header, as some clients understand the name
    decoder = zlib.decompressobj(bits)
    rest, taken = b"", 0
    while not decoder.eof:
        if not rest:
            rest = sent[taken : taken + PIECE]
            taken += len(rest)
        try:
            piece = decoder.decompress(rest, PIECE)
        except zlib.error as error:
            raise invalid(f"The request's body is not {encoding}, as its Content-Encoding says: {error}") from error
        rest = decoder.unconsumed_tail
        if not (piece or rest or decoder.eof) and taken == len(sent):
            raise invalid(f"The request's body ends before its {encoding} data does")
        yield piece
    if decoder.unused_data or taken < len(sent):
        raise invalid(f"More follows the {encoding} data in the request's body")
