"""JSON of any size -> a value. The event loop takes its turns meanwhile: a list may have many megabytes."""

import asyncio
import json
import re
from typing import Any

PIECE = 256 * 1024
"""Characters after which the loop takes a turn; reading them takes some milliseconds."""

_SPACE = re.compile(r"[ \t\n\r]*")
_raw_decode = json.JSONDecoder().raw_decode


async def decoded(text: bytes) -> Any:
    """The value. Raises ValueError.

    Of a large object, the entries of its own lists are read one after the other: each is an object that the API
    server stores, a megabyte at most.
    """
    if len(text) > PIECE:
        try:
            return await _object(text.decode())
        except (IndexError, ValueError):  # it is no object, or no JSON: the decoder says what is wrong
            pass
    return json.loads(text)


async def _object(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    at, more = _begin("{", "}", text, 0)
    while more:
        name, at = _text(text, at)
        at = _after(":", text, _skip(text, at))
        if text[at] == "[":
            found[name], at = await _list(text, at)
        else:
            found[name], at = _raw_decode(text, at)
        at, more = _go_on("}", text, at)
    if at != len(text):
        raise ValueError("more text follows")
    return found


async def _list(text: str, at: int) -> tuple[list[Any], int]:
    """The list at `at`, and where text goes on after it."""
    entries = []
    paused = at
    at, more = _begin("[", "]", text, at)
    while more:
        entry, at = _raw_decode(text, at)
        entries.append(entry)
        at, more = _go_on("]", text, at)
        if at - paused > PIECE:
            await asyncio.sleep(0)
            paused = at
    return entries, at


def _begin(sign: str, end: str, text: str, at: int) -> tuple[int, bool]:
    """Where text goes on after `sign` and, if it follows, `end`; and whether there is an entry."""
    at = _after(sign, text, _skip(text, at))
    return (_skip(text, at + 1), False) if text[at] == end else (at, True)


def _go_on(end: str, text: str, at: int) -> tuple[int, bool]:
    """The same after an entry: a comma and another one follow, or `end`."""
    at = _skip(text, at)
    return (_skip(text, at + 1), False) if text[at] == end else (_after(",", text, at), True)


def _text(text: str, at: int) -> tuple[str, int]:
    name, at = _raw_decode(text, at)
    if not isinstance(name, str):
        raise ValueError("a name is expected")
    return name, at


def _after(sign: str, text: str, at: int) -> int:
    """Where text goes on after the sign at `at`."""
    if text[at] != sign:
        raise ValueError(f"{sign} is expected")
    return _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    assert found is not None
    return found.end()
