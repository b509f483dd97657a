"""The hub's proxy on one machine: configurable-http-proxy in Python, with answers passed on as they come.

    python -m kf_spawner.hub.proxy --ip … --port … --api-ip … --api-port … --error-target …

Owns how a request is passed on. The package itself holds an answer back until it is complete (progress pages and log
streams never are), passes on ten requests at a time, closes a WebSocket at a message of 10 MiB, turns binary messages
into text, and loses the agreed subprotocol. It also answers 404 until it has the hub's routes. Routes, their REST API
and the options are the package's.

A request goes to the origin of the route that matches its path. Nothing else in its target chooses the server. Only
the door may ask: it sends the token of `KF_DOOR_TOKEN`. Where the hub says so, a request must name this machine.
"""

import asyncio
import contextlib
import hmac
import os
import signal
import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import aiohttp
from configurable_http_proxy import cli, configproxy
from configurable_http_proxy.handlers import ProxyHandler
from multidict import CIMultiDict
from tornado.httpclient import HTTPClientError
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError
from tornado.web import Application
from tornado.websocket import WebSocketClosedError, websocket_connect
from yarl import URL

from kf_spawner.loopback import host_name, is_loopback
from kf_spawner.serving import DOOR_TOKEN_HEADER

from .forwarded import FORWARDED_FOR, PROOF, proof

HEALTH = "/_chp_healthz"
"""What a kubelet's probes ask. It needs no token."""

CONNECT_TIMEOUT = 10.0
"""Seconds for a server to take a connection."""

ROUTES_TIMEOUT = 60.0
"""Seconds that a request waits for the hub's own route, which the hub tells a new proxy after all others."""

LAST_ANSWERS = 3.0
"""Seconds that open answers have to finish after SIGTERM."""

PAUSE = 0.01
"""Seconds between two checks whether they have finished."""

MESSAGE_LIMIT = 256 * 1024 * 1024
"""Bytes of one WebSocket message: a cell's output, with its pictures, is one."""

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Hop-by-hop headers (RFC 9110, 7.6.1)."""

_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
_servers: list["Server"] = []


def _session() -> aiohttp.ClientSession:
    loop = asyncio.get_running_loop()
    if loop not in _sessions:
        _sessions[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        )
    return _sessions[loop]


class StreamingHandler(ProxyHandler):  # type: ignore[misc] # the package has no types
    """Passes a request on, and its answer back piece by piece. Ends when either side closes."""

    _answer: aiohttp.ClientResponse | None = None

    def prepare(self) -> None:
        for server in _servers:
            server.silent.discard(self.request.connection.stream)
        if self.request.path == HEALTH:
            return
        given = self.request.headers.get_list(DOOR_TOKEN_HEADER)
        if len(given) != 1 or not hmac.compare_digest(given[0].encode(), self.proxy.door_token.encode()):
            self._refuse(403, "Only the door may ask the hub's proxy: open the door's address instead.")
        else:
            del self.request.headers[DOOR_TOKEN_HEADER]  # users' servers must not learn it

    def _refuse(self, status: int, message: str) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{message}\n")

    def get_websocket_protocol(self) -> Any:
        self.settings.setdefault("websocket_max_message_size", MESSAGE_LIMIT)
        return super().get_websocket_protocol()

    async def get_target_url(self, path: str | None) -> str | None:
        """Waits until the hub has sent its routes: before, a page would be told that there is no such server."""
        if not self.proxy.told.is_set():
            self.proxy.log.debug("Not all routes yet: %s %s waits", self.request.method, self.request.path)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.proxy.told.wait(), ROUTES_TIMEOUT)
        if not self.proxy.is_own_name(host_name(self.request.headers.get("Host", ""))):
            self._refuse(403, "Without a password, this platform answers at localhost and 127.0.0.1 only.")
            return None
        target: str | None = await super().get_target_url(path)
        return target

    async def call_proxy(self, path: str | None = None) -> None:
        with self.proxy.answering():
            await self._call(path)

    async def _call(self, path: str | None) -> None:
        target = await self.get_target_url(path)
        if target is None:
            return
        url = self._as_spelled(target)
        request = self._get_proxy_request(target)
        headers = _passed_on(request.headers.items())
        headers.popall("Content-Length", None)
        if self.target["prefix"] == self.proxy.hub_prefix:
            # The hub believes addresses of its proxy alone: it counts wrong passwords by them.
            headers[PROOF] = proof(self.proxy.auth_token or "", ",".join(headers.getall(FORWARDED_FOR, [])))
        try:
            self._answer = await _session().request(
                self.request.method,
                url,
                headers=headers,
                data=self.request.body if "Content-Length" in self.request.headers or self.request.body else None,
                allow_redirects=False,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            await self.handle_proxy_error(503, error)
            return
        await self._pass_back(self._answer)

    def _as_spelled(self, target: str) -> URL:
        """The route's origin, and the path as the caller spelled it.

        Decoded and encoded again, an escaped slash would become a slash. Read as a URL, `//host/…` would name a host.
        """
        origin = URL(target, encoded=True).origin()
        path, _, query = self.request.uri.partition("?")
        return URL.build(
            scheme=origin.scheme, authority=origin.raw_authority, path=path, query_string=query, encoded=True
        )

    async def start_ws_client(self, path: str | None = None) -> None:
        self.closed = False
        target = await self.get_target_url(path)
        if target is None:
            return
        url = self._as_spelled(target)
        request = self._get_proxy_request(str(url.with_scheme({"http": "ws", "https": "wss"}[url.scheme])))
        try:
            self.ws_client = await websocket_connect(
                request, on_message_callback=self._from_server, max_message_size=MESSAGE_LIMIT
            )
        except HTTPClientError as error:
            self.set_status(error.code)
            self.finish(error.message)
        except OSError as error:
            await self.handle_proxy_error(503, error)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self.ws_client.selected_subprotocol if self.ws_client else None

    def on_message(self, message: str | bytes) -> None:
        if self.ws_client is None:
            return
        if self.target:
            self.proxy.update_last_activity(self.target["prefix"])
        # Text as text and bytes as bytes: kernels speak a binary protocol.
        self.ws_client.write_message(message, binary=isinstance(message, bytes))

    def _from_server(self, message: str | bytes | None) -> None:
        if message is None or self.closed or self.ws_connection is None:
            self.close()
            return
        if self.target:
            self.proxy.update_last_activity(self.target["prefix"])
        with contextlib.suppress(WebSocketClosedError):  # the caller has closed: nobody reads
            self.write_message(message, binary=isinstance(message, bytes))

    async def _pass_back(self, answer: aiohttp.ClientResponse) -> None:
        self.set_status(answer.status, answer.reason)
        self.clear_header("Content-Type")
        self.clear_header("Server")
        self.clear_header("Date")
        for name, value in _passed_on(answer.headers.items()).items():
            self.add_header(name, value)
        if self.proxy.end:
            self.set_header("Connection", "close")
        try:
            async for piece in answer.content.iter_any():
                self.write(piece)
                await self.flush()
        except (aiohttp.ClientError, TimeoutError, OSError, StreamClosedError) as error:
            # Either the caller has closed, and nobody reads, or the server broke off, and the caller must notice.
            self.proxy.log.debug("%s %s ended early: %s", self.request.method, self.request.path, error)
            self.request.connection.stream.close()
        finally:
            answer.close()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        if self._answer is not None:
            self._answer.close()


def _passed_on(headers: Iterable[tuple[str, str]]) -> CIMultiDict[str]:
    """The headers without hop-by-hop ones, including those that `Connection` names."""
    kept: CIMultiDict[str] = CIMultiDict(headers)
    local = HOP_BY_HOP | {
        name.strip().lower() for value in kept.getall("Connection", []) for name in value.split(",")
    }
    for name in {name.lower() for name in kept} & local:
        kept.popall(name)
    return kept


class Proxy(configproxy.PythonProxy):  # type: ignore[misc] # the package has no types
    """Knows whether it has all routes, and counts open answers: SIGTERM ends it after the last one."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.told = asyncio.Event()
        self.door_token = os.environ["KF_DOOR_TOKEN"]
        self.names: set[str] | None = None
        self.hub_prefix = ""
        self.end: asyncio.Task[None] | None = None
        self._answers = 0
        super().__init__(options)
        # A container's first process ignores a signal without a handler, and the next proxy waits for its end.
        asyncio.get_event_loop().add_signal_handler(signal.SIGTERM, self._begin_to_end)

    def add_route(self, path: str, data: dict[str, Any]) -> None:
        super().add_route(path, data)
        if data.get("hub"):  # JupyterHub marks the route to itself
            names = data.get("names")
            self.names = None if names is None else set(names)
            self.hub_prefix = path.rstrip("/") or "/"
            self.told.set()

    def is_own_name(self, host: str) -> bool:
        """Whether requests may name this host: any, unless the hub has said which, and loopback always."""
        return self.names is None or host in self.names or is_loopback(host)

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Counts a request until it is answered. WebSockets do not count: clients connect again."""
        self._answers += 1
        try:
            yield
        finally:
            self._answers -= 1

    def _is_waited_for(self) -> bool:
        """Whether a client waits for an answer, or has a connection and has sent no request yet."""
        asked_by = (server.silent for server in _servers if server.request_callback is self.proxy_app)
        return self._answers > 0 or any(not stream.closed() for silent in asked_by for stream in silent)

    def _begin_to_end(self) -> None:
        self.end = self.end or asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        for server in _servers:
            server.stop()  # a refused client tries the next proxy; one that has a connection might not
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_ANSWERS):
                while self._is_waited_for():  # noqa: ASYNC110 - a closed connection sends no event
                    await asyncio.sleep(PAUSE)
        for server in _servers:
            await server.close_all_connections()
        asyncio.get_running_loop().stop()


class Server(HTTPServer):
    """Keeps the connections that have sent no request yet (`silent`)."""

    def initialize(self, *arguments: Any, **keywords: Any) -> None:
        super().initialize(*arguments, **keywords)
        self.silent: weakref.WeakSet[IOStream] = weakref.WeakSet()

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self.silent.add(stream)
        super().handle_stream(stream, address)


def _server(application: Application) -> Server:
    server = Server(application)
    _servers.append(server)
    return server


def main() -> None:
    if not os.environ.get("KF_DOOR_TOKEN"):
        sys.exit("KF_DOOR_TOKEN is not set: give the proxy and the door the same secret in it")
    configproxy.ProxyHandler = StreamingHandler
    cli.PythonProxy = Proxy
    cli.HTTPServer = _server
    asyncio.set_event_loop(asyncio.new_event_loop())  # tornado takes it up
    cli.main()


if __name__ == "__main__":
    main()
