"""A job's watch stream, read in the background: the cell can be interrupted, and its output is paced."""

import queue
import threading
import time
from typing import Any, Dict, List, Optional

from .connection import Connection, Unreachable, quoted
from .errors import KfError

PATIENCE = 120.0  # seconds without any answer after which following is given up
PACE = 0.2  # seconds over which lines are gathered before they are printed
RETRY = 1.0
BATCH = 20000


class JobWatch:
    """Items of `tfjobs/NAME/watch`, each once, over connections that break off. A context manager."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._path = "tfjobs/%s/watch" % quoted(name)
        self._items: queue.Queue = queue.Queue(maxsize=5000)
        self._ended = threading.Event()
        self._last_lines: Dict[str, str] = {}
        self._events: Dict[Any, int] = {}

    def __enter__(self) -> "JobWatch":
        threading.Thread(target=self._read, name="tfjob watch", daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._ended.set()

    def take(self) -> List[Dict[str, Any]]:
        """What came within a moment; empty if nothing did. Raises KfError where the job cannot be watched."""
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
        answered = time.monotonic()
        while not self._ended.is_set():
            resumed = dict(self._last_lines)
            try:
                for item in self._connection.stream(self._path):
                    answered = time.monotonic()
                    if item["type"] == "error":
                        raise Unreachable(item["message"], reason=item["reason"])
                    if not self._hand_over(item, resumed):
                        return
            except Unreachable as problem:
                if time.monotonic() - answered > PATIENCE:
                    self._put(problem)
                    return
            except KfError as problem:
                self._put(problem)
                return
            self._ended.wait(RETRY)

    def _hand_over(self, item: Dict[str, Any], resumed: Dict[str, str]) -> bool:
        """Puts an item into the queue unless it was there before; False when there is nothing more to read."""
        if item["type"] == "log":
            key = _sortable(item["time"])
            if key and key <= resumed.get(item["replica"], ""):
                return not self._ended.is_set()
            if key:
                self._last_lines[item["replica"]] = key
        elif item["type"] == "event":
            event = (item["object"], item["reason"], item["message"])
            if self._events.get(event) == item["count"]:
                return not self._ended.is_set()
            self._events[event] = item["count"]
        elif item["type"] == "ping":
            return not self._ended.is_set()
        return self._put(item) and item["type"] != "end"

    def _put(self, item: Any) -> bool:
        while not self._ended.is_set():
            try:
                self._items.put(item, timeout=1.0)
                return True
            except queue.Full:
                continue
        return False


def _sortable(stamp: Optional[str]) -> str:
    """A time of RFC 3339 whose fraction has nine digits, so that texts sort as times do."""
    if not stamp:
        return ""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return "%s.%s" % (whole, fraction.ljust(9, "0"))
