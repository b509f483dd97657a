"""Which tokens may use which endpoints, as the hub has said: its answers are used again for some seconds.

Knows when an answer may be used and when the hub is asked. Does not know HTTP.

An answer belongs to one question: the caller's whole `Authorization` header, the namespace and the endpoint's name.
The hub's answer depends on nothing else: not on the method, the path, the host or the origin of the caller's request,
which the hub is not told. Only *allowed* is kept. A refusal is never used again, so that a token works as soon as it
is made or gets a scope.
"""

import asyncio
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kf_spawner.serving.refusals import Refusal

MOST = 10_000
"""Allowed questions that are kept: about 3 MB. Those that were used longest ago give way; they are asked again."""

PAUSE = 1.0
"""Seconds after a question that the hub did not answer, in which no kept answer is renewed."""


class HubAway(Exception):
    """The hub gave no answer to this question."""


@dataclass(frozen=True)
class Allowed:
    """`seconds`: how long the token is valid; None for one that does not expire."""

    seconds: float | None = None


Answer = Allowed | Refusal
Ask = Callable[[str, str, str], Awaitable[Answer]]
"""Asks the hub about an `Authorization` header, a namespace and a name. Raises `HubAway`."""


@dataclass(frozen=True)
class Kept:
    """Times of the clock: the answer is renewed beside requests from `renew`, before a request from `old`, and is not
    used any more from `end`."""

    renew: float
    old: float
    end: float


class Decisions:
    """Use as an async context manager, which ends the questions that are still open.

    `keep`: seconds for which an answer is used without a new question; 0 asks for each request. `without_hub`:
    seconds for which it is used while the hub does not answer. Both count from the moment at which the hub was asked.
    """

    def __init__(
        self, ask: Ask, *, keep: float, without_hub: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask, self._keep, self._without_hub, self._clock = ask, keep, max(keep, without_hub), clock
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Answer | HubAway]] = {}
        self._secret = secrets.token_bytes(32)
        self._hub_away_until = 0.0

    async def __aenter__(self) -> "Decisions":
        return self

    async def __aexit__(self, *_exc: object) -> None:
        open_ = list(self._asking.values())
        for task in open_:
            task.cancel()
        await asyncio.gather(*open_, return_exceptions=True)

    async def decide(self, authorization: str, namespace: str, name: str, *, remember: bool = True) -> Refusal | None:
        """The hub's refusal, or None where the caller may use the endpoint. Raises HubAway where nothing is known.

        `remember`: whether the answer is kept. One user's questions about made-up names must not push out what others
        need.
        """
        key = self._key(authorization, namespace, name)
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now < kept.end:
            self._kept.move_to_end(key)
            away = now < self._hub_away_until
            if now >= kept.renew and not away:
                self._question(key, remember, authorization, namespace, name)
            if away or now < kept.old:
                return None
        # Who asks the same at the same time waits for the same answer, and a caller who goes takes it from nobody.
        answer = await asyncio.shield(self._question(key, remember, authorization, namespace, name))
        if isinstance(answer, HubAway):
            kept = self._kept.get(key)
            if kept is None or self._clock() >= kept.end:
                raise answer
            return None
        return answer if isinstance(answer, Refusal) else None

    def _key(self, authorization: str, namespace: str, name: str) -> bytes:
        """A digest, so that no token is kept. Neither a namespace nor a name has a slash."""
        text = f"{namespace}/{name}/{authorization}".encode(errors="surrogateescape")
        return hashlib.blake2b(text, key=self._secret, digest_size=32).digest()

    def _question(self, key: bytes, remember: bool, *question: str) -> "asyncio.Task[Answer | HubAway]":
        """The question that is open about this key, else a new one."""
        if key not in self._asking:
            self._asking[key] = asyncio.create_task(self._answer(key, remember, *question))
        return self._asking[key]

    async def _answer(self, key: bytes, remember: bool, *question: str) -> Answer | HubAway:
        asked = self._clock()
        try:
            answer = await self._ask(*question)
        except HubAway as error:
            self._hub_away_until = self._clock() + PAUSE
            return error
        finally:
            del self._asking[key]
        if isinstance(answer, Refusal):
            self._kept.pop(key, None)
        elif remember:
            self._remember(key, asked, answer)
        return answer

    def _remember(self, key: bytes, asked: float, answer: Allowed) -> None:
        lifetime = float("inf") if answer.seconds is None else answer.seconds
        keep = min(self._keep, lifetime)
        self._kept[key] = Kept(asked + keep / 2, asked + keep, asked + min(self._without_hub, lifetime))
        self._kept.move_to_end(key)
        if len(self._kept) > MOST:
            self._kept.popitem(last=False)
