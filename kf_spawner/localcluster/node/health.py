"""`GET /healthz` over plain HTTP, for the supervisor of this process. It says only whether the node works."""

from collections.abc import Callable

from aiohttp import web


class Health:
    """`async with Health(host, port, ready=…)`: 200 while `ready()`, else 503."""

    def __init__(self, host: str, port: int, *, ready: Callable[[], bool]):
        self._host = host
        self._port = port
        self._ready = ready
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, handle_signals=False)

    async def __aenter__(self) -> "Health":
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._runner.cleanup()

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(text="ok") if self._ready() else web.Response(status=503, text="not ready yet")
