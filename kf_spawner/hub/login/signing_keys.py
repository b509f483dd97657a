"""The public keys with which somebody signs tokens: fetched from an address, kept, fetched again when they change.

Knows JWK sets (RFC 7517) and neither tokens nor users.
"""

import asyncio
import json
import math
import time
from collections.abc import Callable

import aiohttp
from jwt import PyJWK, PyJWKSet, PyJWTError

FETCH_TIMEOUT = 10.0
"""Seconds for one request to the keys' address."""

LIFETIME = 3600.0
"""Seconds after which the keys are fetched again: one that was withdrawn is then no longer accepted."""

PAUSE = 10.0
"""Seconds from one fetch to the next, at least. Anybody can send tokens with invented key ids."""


class KeysUnavailable(Exception):
    """The keys cannot be fetched now. The message names their address and the cause."""


class SigningKeys:
    """The keys at one address. One fetch at a time; whoever waits for it uses its result."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched = self._tried = -math.inf
        self._problem = ""
        self._turn = asyncio.Lock()

    async def get(self, key_id: str) -> PyJWK | None:
        """The key with this id; None if there is no such key. Raises KeysUnavailable."""
        if not self._has(key_id):
            async with self._turn:
                if not self._has(key_id) and self._clock() - self._tried >= PAUSE:
                    await self._fetch()
            if self._problem:
                raise KeysUnavailable(f"the keys at {self._url} cannot be fetched: {self._problem}")
        return self._keys.get(key_id)

    def _has(self, key_id: str) -> bool:
        return key_id in self._keys and self._clock() - self._fetched < LIFETIME

    async def _fetch(self) -> None:
        try:
            self._keys = await _keys_at(self._url)
            self._fetched = self._clock()
            self._problem = ""
        except TimeoutError:
            self._problem = f"no answer within {FETCH_TIMEOUT:.0f} s"
        except (aiohttp.ClientError, OSError, ValueError, PyJWTError) as error:
            self._problem = str(error) or type(error).__name__
        finally:
            self._tried = self._clock()


async def _keys_at(url: str) -> dict[str, PyJWK]:
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT)
    async with (
        aiohttp.ClientSession(timeout=timeout, trust_env=True) as http,
        http.get(url, allow_redirects=False) as answer,
    ):
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        content = json.loads(await answer.read())
    if not isinstance(content, dict):
        raise ValueError("not a set of keys (JWK)")
    return {key.key_id: key for key in PyJWKSet.from_dict(content) if key.key_id}
