"""The operator's own HTTP server: health and metrics. Nothing that it says is secret."""

from collections.abc import Callable

from aiohttp import web

from .metrics import CONTENT_TYPE, Metrics


class WebServer:
    """Use as an async context manager; `port` 0 takes a free one, and `address` says which.

    `why_unready` says in words why the operator cannot work now; it is ready while that is empty.
    """

    def __init__(self, host: str, port: int, *, metrics: Metrics, why_unready: Callable[[], str]):
        self._host, self._port = host, port
        self._metrics, self._why_unready = metrics, why_unready
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "WebServer":
        app = web.Application()
        app.router.add_get("/healthz", self._get_health)
        app.router.add_get("/readyz", self._get_ready)
        app.router.add_get("/metrics", self._get_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def address(self) -> tuple[str, int]:
        assert self._runner is not None
        host, port, *_ = self._runner.addresses[0]
        return host, port

    async def _get_health(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _get_ready(self, _request: web.Request) -> web.Response:
        why = self._why_unready()
        return web.Response(status=503, text=f"{why}\n") if why else web.Response(text="ok\n")

    async def _get_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})
