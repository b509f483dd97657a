"""The hub's proxy as a program: settings, the two servers, and its end."""

import asyncio
import contextlib
import logging
import os
import signal
from typing import Self

from aiohttp import web
from aiohttp.http import HttpProcessingError
from traitlets import Bool, Integer, Unicode
from traitlets.config import Application

from kf_spawner import __version__

from .api import Api
from .forward import HEAD_LIMIT, Forwarder, client
from .heads import keep_bytes
from .routes import Routes

log = logging.getLogger(__name__)

LAST_ANSWERS = 3.0
"""Seconds that open answers have to finish after SIGTERM."""

PAUSE = 0.01
"""Seconds between two checks whether they have finished."""


class _NotOurFault(logging.Filter):
    """Leaves out what is not HTTP: whoever sent it has the answer, and the log would have a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


class Proxy:
    """The proxy and its REST API, listening; port 0 is any free one. Use as an async context manager."""

    def __init__(
        self,
        *,
        where: tuple[str, int],
        api: tuple[str, int],
        api_token: str,
        door_token: str,
        error_url: str = "",
    ) -> None:
        self._where, self._api_where = where, api
        self._tokens = {"door_token": door_token, "api_token": api_token}
        self._error_url = error_url
        self.routes = Routes()
        keep_bytes()

    async def __aenter__(self) -> Self:
        self._session = client()
        self.forwarder = Forwarder(self.routes, **self._tokens, error_url=self._error_url, session=self._session)
        self._runner = web.AppRunner(
            self.forwarder.application(),
            access_log=None,
            auto_decompress=False,
            handler_cancellation=True,  # who leaves does not wait for an answer: the server is told so
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
            shutdown_timeout=PAUSE,
        )
        api = Api(self.routes, token=self._tokens["api_token"])
        self._api_runner = web.AppRunner(api.application(), access_log=None, shutdown_timeout=PAUSE)
        for runner, where in ((self._api_runner, self._api_where), (self._runner, self._where)):
            await runner.setup()
            await web.TCPSite(runner, *where).start()
        return self

    @property
    def port(self) -> int:
        return int(self._runner.addresses[0][1])

    @property
    def api_port(self) -> int:
        return int(self._api_runner.addresses[0][1])

    async def __aexit__(self, *_exc: object) -> None:
        await self._api_runner.cleanup()
        await self._runner.cleanup()
        await self._session.close()

    async def end(self) -> None:
        """Takes no more connections. Returns when nobody waits for an answer, at most after LAST_ANSWERS."""
        await asyncio.sleep(PAUSE)  # who waits to be taken is taken
        self.forwarder.ends = True
        for site in self._runner.sites:
            await site.stop()  # a refused client tries the next proxy; one that has a connection might not
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS):
                while self._is_waited_for():  # noqa: ASYNC110 - a closed connection sends no event
                    await asyncio.sleep(PAUSE)

    def _is_waited_for(self) -> bool:
        """Whether a client waits for an answer, or has a connection and has sent no request yet."""
        server = self._runner.server
        connections = [each.transport for each in server.connections] if server else []
        return self.forwarder.open > 0 or any(
            not self.forwarder.has_asked(each) for each in connections if each is not None
        )


class ProxyApp(Application):
    """The hub's proxy: a route for each user's server."""

    name = "kf-spawner-proxy"
    version = __version__
    description = "The hub's proxy: a route for each user's server. The hub tells it the routes."

    host = Unicode("127.0.0.1", help="Address to listen on. Default: 127.0.0.1.").tag(config=True)
    port = Integer(8001, min=1, max=65535, help="TCP port for the door. Default: 8001.").tag(config=True)
    api_host = Unicode("127.0.0.1", help="Address of the REST API. Default: 127.0.0.1.").tag(config=True)
    api_port = Integer(8003, min=1, max=65535, help="TCP port of the REST API, for the hub. Default: 8003.").tag(
        config=True
    )
    error_url = Unicode(
        "",
        help="""URL of the hub's pages for errors: `/404` and `/503` are added. Default: none, and the answer is a
        line.""",
    ).tag(config=True)
    debug = Bool(False, help="Log requests that wait or end early, including paths. Default: false.").tag(config=True)

    aliases = {
        "host": "ProxyApp.host",
        "port": "ProxyApp.port",
        "api-host": "ProxyApp.api_host",
        "api-port": "ProxyApp.api_port",
        "error-url": "ProxyApp.error_url",
    }
    flags = {"debug": ({"ProxyApp": {"debug": True}}, debug.help)}

    def start(self) -> None:
        logging.basicConfig(
            level=logging.DEBUG if self.debug else logging.WARNING,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
            force=True,
        )
        logging.getLogger("aiohttp.server").addFilter(_NotOurFault())
        if not os.environ.get("CONFIGPROXY_AUTH_TOKEN"):
            log.error("CONFIGPROXY_AUTH_TOKEN is not set: give the hub and its proxy the same secret in it")
            self.exit(1)
        if not os.environ.get("KF_DOOR_TOKEN"):
            log.error(
                "KF_DOOR_TOKEN is not set, so every request is answered with 503: give the door and the hub's proxy "
                "the same secret in it. With the chart it is the key door-token of the Secret in hub.existingSecret"
            )
        asyncio.run(self._run())

    async def _run(self) -> None:
        stopping = asyncio.Event()
        # A container's first process ignores a signal without a handler, and the next proxy waits for its end.
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        async with Proxy(
            where=(self.host, self.port),
            api=(self.api_host, self.api_port),
            api_token=os.environ["CONFIGPROXY_AUTH_TOKEN"],
            door_token=os.environ.get("KF_DOOR_TOKEN", ""),
            error_url=self.error_url,
        ) as proxy:
            await stopping.wait()
            await proxy.end()


def main() -> None:
    """`python -m kf_spawner.hub.proxy`."""
    ProxyApp.launch_instance()
