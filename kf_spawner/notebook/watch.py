"""Follows a job in the background of a cell, also over connections that break.

The server gives each log line a cursor. A stream that is opened again names the last cursor of each replica, and
continues exactly after those lines.
"""

import queue
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple
from urllib import parse

from .connection import Connection, Unreachable, quoted
from .errors import KfError

PATIENCE = 120.0  # seconds without any answer after which a watch gives up
PACE = 0.2  # seconds over which lines are gathered before they are printed
RETRY = 1.0  # seconds between two attempts to open a stream
BATCH = 20000  # items
LONGEST_LINE = 4 * 1024 * 1024  # characters; of a longer line the parts are told apart


def resumed(
    connection: Connection, path: str, query: Optional[Dict[str, str]] = None, last: Optional[str] = None
) -> Iterator[Dict[str, Any]]:
    """The items of a stream over connections that break off, each log line once; `ping` items in between.

    It ends when the server ends it; with `last`, only after an item of that type. Raises Unreachable after PATIENCE
    seconds without an answer, and KfError for what the server refuses.
    """
    cursors: Dict[str, str] = {}
    answered = time.monotonic()
    while True:
        try:
            for item in connection.stream(_address(path, query, cursors)):
                answered = time.monotonic()
                if item.get("type") == "error":
                    raise Unreachable(item["message"], reason=item["reason"])
                if item.get("cursor"):
                    cursors[item["replica"]] = item["cursor"]
                yield item
                if last is not None and item.get("type") == last:
                    return
            if last is None:
                return
        except Unreachable:
            if time.monotonic() - answered > PATIENCE:
                raise
        yield {"type": "ping"}
        time.sleep(RETRY)


def log_lines(connection: Connection, path: str, query: Dict[str, str], follow: bool) -> Iterator[Dict[str, Any]]:
    """The lines of a log as it is now, or with `follow` to its end, over connections that break off."""
    if follow:
        items = resumed(connection, path, dict(query, follow="1"))
    else:
        items = connection.stream(_address(path, query, {}))
    for item in whole_lines(items):
        if item.get("type") == "error":
            raise KfError(item["message"], reason=item["reason"])
        if "line" in item:
            yield item


def whole_lines(items: Iterator[Dict[str, Any]]) -> Iterator[Dict[str, Any]]:
    """The items of a stream with each long log line, which comes in pieces, as one item. Others pass unchanged."""
    begun: Dict[str, Dict[str, Any]] = {}  # by replica
    for item in items:
        if "line" in item:
            before = begun.pop(item["replica"], None)
            if before is not None and before["time"] == item["time"]:  # all pieces have the time of their line
                item = dict(item, line=before["line"] + item["line"])
            elif before is not None:
                yield before
            if item.get("continues") and len(item["line"]) < LONGEST_LINE:
                begun[item["replica"]] = item
                continue
        elif item.get("type") == "end":
            yield from begun.values()
            begun = {}
        yield item
    yield from begun.values()


def _address(path: str, query: Optional[Dict[str, str]], cursors: Dict[str, str]) -> str:
    parameters: List[Tuple[str, str]] = list((query or {}).items())
    parameters.extend(("after", cursor) for cursor in cursors.values())
    return path + "?" + parse.urlencode(parameters) if parameters else path


class JobWatch:
    """Items of `tfjobs/NAME/watch`, each once. A context manager."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._path = "tfjobs/%s/watch" % quoted(name)
        self._items: "queue.Queue[Any]" = queue.Queue(maxsize=5000)
        self._ended = threading.Event()
        self._events: Dict[Any, int] = {}

    def __enter__(self) -> "JobWatch":
        threading.Thread(target=self._read, name="tfjob watch", daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()

    def take(self) -> List[Dict[str, Any]]:
        """The items of the next PACE seconds; may be empty. Raises KfError if the job cannot be watched."""
        items: List[Dict[str, Any]] = []
        until = time.monotonic() + PACE
        while True:
            try:
                item = self._items.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return items
            if isinstance(item, KfError):
                raise item
            items.append(item)
            if item["type"] == "end" or len(items) >= BATCH:
                return items

    def _read(self) -> None:
        try:
            for item in whole_lines(resumed(self._connection, self._path, last="end")):
                if self._is_new(item):
                    self._put(item)
                if self._ended.is_set():
                    return
        except KfError as problem:
            self._put(problem)

    def _is_new(self, item: Dict[str, Any]) -> bool:
        """Whether the item is new: a stream that is opened again repeats all events."""
        if item["type"] == "event":
            event = (item["object"], item["reason"], item["message"])
            if self._events.get(event) == item["count"]:
                return False
            self._events[event] = item["count"]
        return bool(item["type"] != "ping")

    def _put(self, item: Any) -> None:
        while not self._ended.is_set():
            try:
                self._items.put(item, timeout=1.0)
                return
            except queue.Full:
                continue
