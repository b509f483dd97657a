"""A second process for work that would stop all others in this one: JSON of many megabytes, read or written.

A thread does not help there: a call of the decoder lets no other thread run before it returns. Knows neither HTTP nor
models. The process starts with the first call, and ends when this one does, however it ends.
"""

import contextlib
import multiprocessing
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from .errors import ServingError

LARGE = 256 * 1024
"""Bytes of a body that are read within milliseconds."""
MANY = 32 * 1024
"""Numbers of an answer that are written within milliseconds."""

T = TypeVar("T")


class SecondProcess:
    """Runs one call after the other. Safe from several threads."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._connection: Connection | None = None

    def call(self, work: Callable[..., T], *args: Any) -> T:
        """`work(*args)`, which both processes can import. What it raises is raised."""
        with self._turn:
            if self._connection is not None and self._connection.poll():
                self._end()  # it says nothing unasked: it ended while it had nothing to do
            connection = self._connection = self._connection or _start()
            try:
                connection.send((work, args))
                is_right, result = connection.recv()
            except (EOFError, OSError) as error:
                self._end()
                message = "The process that reads and writes large bodies ended: send fewer rows at a time"
                raise ServingError("RESOURCE_EXHAUSTED", message) from error
        if not is_right:
            raise result
        answer: T = result
        return answer

    def close(self) -> None:
        with self._turn:
            self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _start() -> Connection:
    # Not a fork: this process has TensorFlow's threads and memory.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    context.Process(target=_serve, args=(theirs,), name="large bodies", daemon=True).start()
    theirs.close()  # so that the other process sees the end of this one
    return ours


def _serve(connection: Connection) -> None:
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            work, args = connection.recv()
            try:
                answer = True, work(*args)
            except Exception as error:
                answer = False, error
            connection.send(answer)
