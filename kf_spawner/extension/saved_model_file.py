"""The facts in a `saved_model.pb` that decide whether it can be served, read without TensorFlow in milliseconds.

Reads the few fields of TensorFlow's `saved_model.proto`, `meta_graph.proto` and `op_def.proto` that it needs, in the
wire format of protocol buffers, and passes over all others: graphs may be large. TensorFlow alone has the classes of
these messages, and its import takes seconds.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from kf_spawner.serving.saved_model import GraphFacts

MOST_FIELDS = 200_000
"""Fields that are looked at. A model has some thousands."""
LONGEST_NAME = 4096
"""Bytes of a tag's, signature's or op's name."""

_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
_LONGEST_VARINT = 10
# SavedModel
_META_GRAPHS = 2
# MetaGraphDef
_META_INFO, _SIGNATURES = 1, 5
# MetaInfoDef
_STRIPPED_OPS, _TAGS = 2, 4
# An entry of a map
_KEY, _VALUE = 1, 2
# OpList, OpDef, SignatureDef
_OP, _OP_NAME, _METHOD_NAME = 1, 1, 3

Span = tuple[int, int]
"""Where a field's value begins and ends in the file, in bytes."""


class DamagedError(ValueError):
    """The file is no SavedModel, or a part of one."""


class TooLargeError(ValueError):
    """The file has more than is looked at here."""


def read(path: Path) -> list[GraphFacts]:
    """The facts of each graph in the file. Raises DamagedError, TooLargeError or OSError."""
    with open(path, "rb") as file:
        message = _Message(file)
        whole = (0, os.fstat(file.fileno()).st_size)
        graphs = [_graph(message, span) for number, span in message.fields(whole) if number == _META_GRAPHS]
    if not graphs:
        raise DamagedError("no graph is in it")
    return graphs


def _graph(message: "_Message", span: Span) -> GraphFacts:
    tags, signatures, ops = set(), set(), set()
    for number, inside in message.fields(span):
        if number == _SIGNATURES:
            name, callable_ = _signature(message, inside)
            if callable_:
                signatures.add(name)
        elif number == _META_INFO:
            for kind, part in message.fields(inside):
                if kind == _TAGS:
                    tags.add(message.text(part))
                elif kind == _STRIPPED_OPS:
                    ops |= {_op_name(message, op) for field, op in message.fields(part) if field == _OP}
    return GraphFacts(frozenset(tags), frozenset(signatures), frozenset(ops))


def _signature(message: "_Message", span: Span) -> tuple[str, bool]:
    """Its name, and whether it has a method: one without is TensorFlow's own, such as the initialiser."""
    name, has_method = "", False
    for number, part in message.fields(span):
        if number == _KEY:
            name = message.text(part)
        elif number == _VALUE:
            has_method = any(field == _METHOD_NAME and start < end for field, (start, end) in message.fields(part))
    return name, has_method


def _op_name(message: "_Message", span: Span) -> str:
    return next((message.text(part) for number, part in message.fields(span) if number == _OP_NAME), "")


class _Message:
    """Messages in a file. It seeks and does not map: who cuts a mapped file short kills this process."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._fields_left = MOST_FIELDS

    def fields(self, span: Span) -> Iterator[tuple[int, Span]]:
        """Number and place of each field of text, bytes or a message in the message at `span`."""
        position, end = span
        while position < end:
            self._fields_left -= 1
            if self._fields_left < 0:
                raise TooLargeError(f"it has more than {MOST_FIELDS} fields")
            key, position = self._varint(position, end)
            number, kind = key >> 3, key & 7
            if kind == _VARINT:
                _, position = self._varint(position, end)
                continue
            if kind == _BYTES:
                length, position = self._varint(position, end)
            elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
                length = 8 if kind == _EIGHT_BYTES else 4
            else:
                raise DamagedError(f"there is no type of fields {kind}")
            start, position = position, position + length
            if number == 0 or position > end:
                raise DamagedError("a field is longer than what it is in")
            if kind == _BYTES:
                yield number, (start, position)

    def text(self, span: Span) -> str:
        start, end = span
        if end - start > LONGEST_NAME:
            raise TooLargeError(f"a name in it has more than {LONGEST_NAME} bytes")
        self._file.seek(start)
        return self._file.read(end - start).decode(errors="replace")

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        """The number at `position`, and the position behind it."""
        self._file.seek(position)
        value = 0
        for index, byte in enumerate(self._file.read(min(_LONGEST_VARINT, end - position))):
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                return value, position + index + 1
        raise DamagedError("a number in it has no end")
