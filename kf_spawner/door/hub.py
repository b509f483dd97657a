"""Asks the hub whether a token may use an endpoint: one HTTP request for each question."""

import logging
import re
from types import TracebackType

import aiohttp

from kf_spawner.serving.refusals import Refusal

from .decisions import Allowed, Answer, HubAway

log = logging.getLogger(__name__)

SECONDS = 5.0
"""In which the hub has to answer. A caller whom the door does not know waits so long for a hub that hangs."""

AT_ONCE = 20
"""Questions that the hub gets at the same time. More wait: wrong tokens must not keep it from its own work."""

PASSED = ("Content-Type", "Kf-Door", "WWW-Authenticate")
"""Headers of the hub's refusal that the caller gets."""


class Hub:
    """Use as an async context manager. `authorize_url`: the hub's `/hub/kf/authorize`."""

    def __init__(self, authorize_url: str) -> None:
        self._url = authorize_url.rstrip("/")
        self._answers = True

    async def __aenter__(self) -> "Hub":
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=AT_ONCE),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SECONDS),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    async def ask(self, authorization: str, namespace: str, name: str) -> Answer:
        """Whether the caller may use the endpoint. Raises HubAway where the hub does not say so."""
        try:
            answer = await self._asked(f"{self._url}/{namespace}/{name}", authorization)
        except HubAway as error:
            if self._answers:
                log.warning("The hub does not say who may use endpoints: %s", error)
            self._answers = False
            raise
        self._answers = True
        return answer

    async def _asked(self, url: str, authorization: str) -> Answer:
        headers = {"Authorization": authorization}
        try:
            async with self._http.get(url, headers=headers, allow_redirects=False) as answer:
                body = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise HubAway(f"{type(error).__name__} {error}".rstrip()) from error
        if answer.status == 200:
            return Allowed(_max_age(answer.headers.get("Cache-Control", "")))
        if answer.status in (400, 401, 403):
            return Refusal(answer.status, {key: answer.headers[key] for key in PASSED if key in answer.headers}, body)
        raise HubAway(f"it answers {answer.status}")


def _max_age(cache_control: str) -> float | None:
    found = re.search(r"\bmax-age=(\d+)", cache_control)
    return float(found[1]) if found else None
