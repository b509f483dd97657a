"""Heads of requests and answers pass with the bytes that they came with.

aiohttp reads a head as UTF-8 and keeps any other byte as a surrogate (`surrogateescape`). When it writes, it leaves
these out: `caf\\xe9` in Latin-1 would arrive as `caf`. It has no setting for that.
"""

from aiohttp import http_writer
from multidict import CIMultiDict

_without_surrogates = http_writer._serialize_headers


def keep_bytes() -> None:
    """From now on aiohttp writes all bytes of heads, in this process."""
    http_writer._serialize_headers = _serialized


def _serialized(status_line: str, headers: CIMultiDict[str]) -> bytes:
    """The start line and the headers. Raises ValueError for control characters."""
    head = _without_surrogates(status_line, headers)
    if status_line.isascii() and all(value.isascii() for value in headers.values()):
        return head
    lines = [status_line, *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode(errors="surrogateescape")
