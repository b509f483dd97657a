"""A queue of keys: one worker a key at a time, added twice is worked on once, failures come back later.

Namespaces take turns, one key each, so that the jobs of one user do not hold up those of another. Work on a key can
be long: it goes on in many turns, and gives way to the short work of other namespaces.
"""

import asyncio
import contextlib
import itertools
import time
from collections import OrderedDict, deque
from collections.abc import Callable

FIRST_RETRY = 0.05
LAST_RETRY = 60.0
RECENT = 10.0
"""Seconds for which a namespace that had short work may have more."""


class QueueClosed(Exception):
    """No key comes any more."""


class WorkQueue:
    """Keys to work on, `namespace/name`; all on one event loop. Times in seconds.

    `on_turn` is told how long a key waited for its turn.
    """

    def __init__(self, on_turn: Callable[[float], None] = lambda _waited: None) -> None:
        self._on_turn = on_turn
        self._ready: OrderedDict[str, deque[str]] = OrderedDict()  # by namespace; the first has the next turn
        self._wanted: dict[str, float] = {}  # since when
        self._running: set[str] = set()
        self._long: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._turn_ended = asyncio.Event()
        self._short_work: OrderedDict[str, float] = OrderedDict()  # by namespace, when it ended; the oldest first
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._ready.values()))

    def add(self, key: str) -> None:
        """Wants `key` worked on, after the work that is under way on it."""
        if key in self._wanted or self._closed:
            return
        self._wanted[key] = time.monotonic()
        if key not in self._running:
            self._put(key)

    def add_after(self, key: str, delay: float) -> None:
        """Wants `key` after `delay`; of several delays for a key the earliest counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if timer is not None and timer.when() <= loop.time() + delay:
            return
        self._cancel_timer(key)
        if not self._closed:
            self._timers[key] = loop.call_later(delay, self._due, key)

    def retry(self, key: str) -> float:
        """Wants `key` again after a failure, each time twice as late; the delay."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        delay = min(FIRST_RETRY * 2.0 ** min(failures - 1, 20), LAST_RETRY)
        self.add_after(key, delay)
        return delay

    def forget(self, key: str) -> None:
        """The last work on `key` went well: its next failure counts as the first."""
        self._failures.pop(key, None)

    async def get(self) -> str:
        """The next key; `done` must follow. Raises QueueClosed after `close`."""
        while not self._ready:
            if self._closed:
                raise QueueClosed
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._pass_on(waiter)
                raise
        key = self._take()
        self._on_turn(time.monotonic() - self._wanted.pop(key))
        self._running.add(key)
        self._cancel_timer(key)
        return key

    def mark(self, key: str, *, is_long: bool) -> None:
        """Whether the work on `key` is long, from now on; at first it is short."""
        if is_long:
            self._long.add(key)
        else:
            self._long.discard(key)

    async def give_way(self, key: str, patience: float) -> None:
        """Returns once no other namespace has short work that waits or is under way, or after `patience` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while self._is_short_work_elsewhere(_namespace(key)):
                    await self._turn_ended.wait()

    def is_shared(self, key: str) -> bool:
        """Whether another namespace has short work, or had some a moment ago."""
        namespace, since = _namespace(key), time.monotonic() - RECENT
        recent = any(ended > since for other, ended in self._short_work.items() if other != namespace)
        return recent or self._is_short_work_elsewhere(namespace)

    def done(self, key: str) -> None:
        self._running.discard(key)
        if key not in self._long:
            self._note_short_work(_namespace(key))
        self._turn_ended.set()
        self._turn_ended.clear()
        if key in self._wanted and not self._closed:
            self._put(key)

    def close(self) -> None:
        """No key comes any more; work under way is not touched."""
        self._closed = True
        self._ready.clear()
        for key in list(self._timers):
            self._cancel_timer(key)
        while self._waiters:
            self._wake()

    def _note_short_work(self, namespace: str) -> None:
        now = time.monotonic()
        self._short_work[namespace] = now
        self._short_work.move_to_end(namespace)
        while next(iter(self._short_work.values())) < now - RECENT:
            self._short_work.popitem(last=False)

    def _is_short_work_elsewhere(self, namespace: str) -> bool:
        waiting = (keys for name, keys in self._ready.items() if name != namespace)
        running = (key for key in self._running if _namespace(key) != namespace)
        return any(key not in self._long for key in itertools.chain(running, *waiting))

    def _put(self, key: str) -> None:
        self._ready.setdefault(_namespace(key), deque()).append(key)
        self._wake()

    def _take(self) -> str:
        """The oldest key of the namespace whose turn it is; the namespace's next one waits for all others."""
        namespace, keys = self._ready.popitem(last=False)
        key = keys.popleft()
        if keys:
            self._ready[namespace] = keys
        return key

    def _wake(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _pass_on(self, waiter: asyncio.Future[None]) -> None:
        """A waiter that was woken and cancelled at once must not keep the news to itself."""
        if waiter.done() and not waiter.cancelled() and self._ready:
            self._wake()
        elif waiter in self._waiters:
            self._waiters.remove(waiter)

    def _due(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()


def _namespace(key: str) -> str:
    return key.partition("/")[0]
