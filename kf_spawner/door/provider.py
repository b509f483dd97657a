"""The loopback HTTP server that gives Traefik its dynamic configuration.

The configuration holds the token that the hub's proxy knows the door by, so Traefik must show a secret of its own:
everybody on this machine can reach the port.
"""

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from kf_spawner.same_secret import is_secret

LOOPBACK = "127.0.0.1"
PATH = "/dynamic"


class Provider:
    """Use as an async context manager. `configuration` is called for each request."""

    def __init__(self, configuration: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._configuration = configuration
        self._secret = secrets.token_urlsafe()
        app = web.Application()
        app.router.add_get(PATH, self._get)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def __aenter__(self) -> "Provider":
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """What Traefik asks, on a free port."""
        port = self._runner.addresses[0][1]
        return f"http://{LOOPBACK}:{port}{PATH}"

    @property
    def headers(self) -> dict[str, str]:
        """What Traefik must send with its question."""
        return {"Authorization": f"Bearer {self._secret}"}

    async def _get(self, request: web.Request) -> web.Response:
        if not is_secret(request.headers.get("Authorization", ""), self.headers["Authorization"]):
            raise web.HTTPForbidden
        text = await asyncio.to_thread(_written, await self._configuration())
        return web.Response(text=text, content_type="application/json")


def _written(value: Any, depth: int = 3) -> str:
    """JSON. No call writes more than what is `depth` levels below: all at once would hold every thread."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value)
    return "{" + ",".join(f"{json.dumps(key)}:{_written(each, depth - 1)}" for key, each in value.items()) + "}"
