"""The loopback HTTP server that gives Traefik its dynamic configuration."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

LOOPBACK = "127.0.0.1"
PATH = "/dynamic"


class Provider:
    """Use as an async context manager. `configuration` is called for each request."""

    def __init__(self, configuration: Callable[[], dict[str, Any]]) -> None:
        self._configuration = configuration
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

    async def _get(self, _request: web.Request) -> web.Response:
        return web.json_response(self._configuration())
