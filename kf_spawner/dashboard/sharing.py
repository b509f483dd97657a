"""How users share the dashboard: what one user may do at one time, so that it answers all others."""

import asyncio
import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from kf_spawner.workloads.errors import RequestError

THREADS = 4

T = TypeVar("T")


class Turns:
    """Runs what takes longer than the event loop may stand still, in threads. Each user has one turn at a time.

    Python code in a thread lets the loop go on. One call of C code does not: it must take milliseconds.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="turn")
        self._of_user: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def run(self, user: str, work: Callable[..., T], *args: Any) -> T:
        """`work(*args)`. A caller that is cancelled waits until the thread is through."""
        turn = self._of_user.setdefault(user, asyncio.Lock())
        async with turn:
            job = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
            try:
                return await asyncio.shield(job)
            except asyncio.CancelledError:
                await asyncio.wait([job])
                raise


class Places:
    """Counts what each user does at one time; `most` is the limit, `what` its name in the refusal."""

    def __init__(self, most: int, what: str):
        self._most, self._what = most, what
        self._taken: Counter[str] = Counter()

    @contextlib.contextmanager
    def take(self, user: str) -> Iterator[None]:
        """Takes a place for as long as the block runs. Raises RequestError 429 if `user` has all of theirs."""
        if self._taken[user] >= self._most:
            message = f"{self._most} {self._what} of yours are open, which is the limit: wait until one has ended"
            raise RequestError(429, "TooManyRequests", message)
        self._taken[user] += 1
        try:
            yield
        finally:
            self._taken[user] -= 1
            if not self._taken[user]:
                del self._taken[user]
