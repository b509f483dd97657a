"""How one request passes: whom it may come from, to which server it goes, and how the answer comes back."""

import asyncio
import contextlib
import logging
import weakref
from collections.abc import Iterator
from functools import partial

import aiohttp
from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from kf_spawner.loopback import host_name
from kf_spawner.same_secret import is_secret
from kf_spawner.serving import DOOR_TOKEN_HEADER, IAP_HEADER

from ..forwarded import FORWARDED_FOR, PROOF, proof
from .bodies import HubBodies
from .headers import has_control_characters, is_web_socket, passed_on, set_web_socket
from .refusals import NO_PATH, NO_TOKEN, NOT_THE_DOOR, Refused, foreign_name, not_running
from .routes import Route, Routes
from .tunnel import join

log = logging.getLogger(__name__)

HEALTH = "/_chp_healthz"
"""What a kubelet's probes ask. It needs no token."""

CONNECT_TIMEOUT = 10.0
"""Seconds for a server to take a connection."""

ROUTES_TIMEOUT = 60.0
"""Seconds that a request waits for the hub's own route, which the hub tells a new proxy after all others."""

HEAD_LIMIT = 64 * 1024
"""Bytes of a line of a request's or an answer's head: a browser's cookies are one."""

ADDED = ("Content-Type", "Date", "Server")
"""Headers that aiohttp adds to an answer which has none."""


def client() -> aiohttp.ClientSession:
    """What asks the servers, any number of them at a time. It adds, decodes and follows nothing."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        max_line_size=HEAD_LIMIT,
        max_field_size=HEAD_LIMIT,
    )


def upstream(origin: URL, target: str) -> URL:
    """What a server is asked: its origin, and the path and query as the caller spelled them.

    Decoded and encoded again, an escaped slash would become a slash. Read as a URL, `//host/…` would name a host.
    """
    path, _, query = target.partition("?")
    return URL.build(
        scheme=origin.scheme, authority=origin.raw_authority, path=path, query_string=query, encoded=True
    )


class _Passed:
    """A server's answer; `came` are all headers that it has."""

    came: CIMultiDictProxy[str]


class _Whole(_Passed, web.Response):
    """One that is all there: head and body go as one."""


class _Stream(_Passed, web.StreamResponse):
    """One that goes on."""


class Forwarder:
    """Answers the door. `door_token`: what the door is known by, empty for nobody; `api_token`: the secret of hub and
    proxy; `error_url`: where the hub's pages for errors are, below which `/404` and `/503` are asked; `session`: see
    `client`."""

    def __init__(
        self, routes: Routes, *, door_token: str, api_token: str, error_url: str, session: aiohttp.ClientSession
    ) -> None:
        self._routes = routes
        self._door_token = door_token
        self._api_token = api_token
        self._error_url = error_url
        self._session = session
        self._bodies = HubBodies()
        self._asked: weakref.WeakSet[asyncio.BaseTransport] = weakref.WeakSet()
        self.waiting = 0
        """How many requests wait for the hub's own route."""
        self.open = 0
        """How many requests have no whole answer yet. WebSockets do not count: clients connect again."""
        self.ends = False
        """Whether the proxy is about to end: then no connection is kept for another request."""

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:(?s:.*)}", self.answer)  # decoded: it may have a line break
        app.on_response_prepare.append(self._prepared)
        return app

    def has_asked(self, connection: asyncio.BaseTransport) -> bool:
        """Whether a request has come on this connection."""
        return connection in self._asked

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._asked.add(request.transport)
        if request.raw_path == HEALTH:
            return web.json_response({"status": "OK"})
        with self._open():
            try:
                route = await self._route(request)
                if route is None:
                    return await self._problem(request, 404, "no route")
                answered = await self._pass_on(request, route)
            except Refused as refused:
                if refused.refusal.status == 503:
                    log.warning("503 %s: %s", _named(request), refused)
                return refused.refusal.answer()
            if not isinstance(answered, aiohttp.ClientResponse):
                return answered
        # A WebSocket, which does not count.
        return await self._joined(request, answered, route)

    async def _route(self, request: web.Request) -> Route | None:
        """The route that matches, once all are known. Raises Refused where nobody is asked."""
        if not self._door_token:
            raise Refused(NO_TOKEN)
        given = request.headers.getall(DOOR_TOKEN_HEADER, ())
        if len(given) != 1 or not is_secret(given[0], self._door_token):
            raise Refused(NOT_THE_DOOR)
        target = request.raw_path
        if not (target.startswith("/") and target.isascii()):
            raise Refused(NO_PATH)
        await self._complete(request)
        host, hub_url = host_name(request.headers.get("Host", "")), self._routes.hub_url
        if not self._routes.is_own_name(host):
            raise Refused(foreign_name(hub_url))
        route = self._routes.find(host, target.partition("?")[0])
        if route is None and hub_url:
            raise Refused(not_running(hub_url, target, opens_page=_opens_page(request)))
        return route

    async def _complete(self, request: web.Request) -> None:
        """Waits until the hub has told its routes: before, a page would be told that there is no such server."""
        if self._routes.complete.is_set():
            return
        log.debug("Not all routes yet: %s waits", _named(request))
        self.waiting += 1
        try:
            await asyncio.wait_for(self._routes.complete.wait(), ROUTES_TIMEOUT)
        except TimeoutError:
            log.warning("The hub has not told its own route for %d s", ROUTES_TIMEOUT)
        finally:
            self.waiting -= 1

    async def _pass_on(self, request: web.Request, route: Route) -> web.StreamResponse | aiohttp.ClientResponse:
        """The answer, passed back; that of the server itself where the connection is to become a WebSocket."""
        headers = passed_on(request.headers, without=(DOOR_TOKEN_HEADER, PROOF, "Expect"))
        if route.is_hubs:
            # The hub believes addresses of its proxy alone: it counts wrong passwords by them.
            headers[PROOF] = proof(self._api_token, ",".join(headers.getall(FORWARDED_FOR, ())))
        else:
            headers.popall(IAP_HEADER, None)  # the server's user could log in by it as whoever visits
        if is_web_socket(request.headers):
            set_web_socket(headers)
        try:
            answer = await self._answer_of_server(request, route, headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return await self._problem(request, 503, _in_words(error))
        if has_control_characters((answer.reason or "", *answer.headers.values())):
            answer.close()
            return await self._problem(request, 503, "the head of the server's answer has a control character")
        if answer.status == 101 and is_web_socket(request.headers):
            return answer
        try:
            if answer.status == 101:
                return await self._problem(request, 503, "the server changes the protocol, and nobody asked it to")
            return await self._pass_back(request, answer, route)
        finally:
            answer.close()

    async def _answer_of_server(
        self, request: web.Request, route: Route, headers: CIMultiDict[str]
    ) -> aiohttp.ClientResponse:
        """The server's answer, whose body is still to come. Raises Refused, and what aiohttp raises."""
        ask = partial(
            self._session.request,
            request.method,
            upstream(route.origin, request.raw_path),
            headers=headers,
            allow_redirects=False,
        )
        if not route.is_hubs:
            return await ask(data=request.content if request.body_exists else None)
        async with self._bodies.whole(request) as body:
            return await ask(data=body)

    async def _pass_back(
        self, request: web.Request, answer: aiohttp.ClientResponse, route: Route
    ) -> web.StreamResponse:
        response: _Whole | _Stream
        status, reason, headers = answer.status, answer.reason, passed_on(answer.headers)
        if answer.content.is_eof():
            response = _Whole(status=status, reason=reason, headers=headers, body=answer.content.read_nowait())
        else:
            response = _Stream(status=status, reason=reason, headers=headers)
        response.came = answer.headers
        if self.ends:
            response.force_close()
        if isinstance(response, _Stream) and not await self._stream(request, answer, response):
            return response
        if status < 300:
            route.touch()
        return response

    async def _stream(self, request: web.Request, answer: aiohttp.ClientResponse, response: _Stream) -> bool:
        """Whether the answer came to its end."""
        try:
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Either the caller has closed, and nobody reads, or the server broke off, and the caller must notice.
            log.debug("%s ended early: %s", _named(request), _in_words(error))
            if request.transport is not None:
                request.transport.close()
            return False
        return True

    async def _joined(self, request: web.Request, answer: aiohttp.ClientResponse, route: Route) -> web.StreamResponse:
        response = _Stream(status=101, reason=answer.reason, headers=passed_on(answer.headers))
        response.came = answer.headers
        set_web_socket(response.headers)
        try:
            await response.prepare(request)
            assert answer.connection is not None
            await join(request.protocol, answer.connection.protocol, route.touch)
        except ConnectionError as error:
            log.debug("%s ended early: %s", _named(request), _in_words(error))
        finally:
            answer.close()
        return response

    async def _problem(self, request: web.Request, status: int, cause: str) -> web.Response:
        """The hub's page for an error of the proxy's, or a line where the hub does not give it."""
        log.warning("%d %s: %s", status, _named(request), cause)
        if not self._error_url:
            return web.Response(status=status)
        page = URL(self._error_url) / str(status) % {"url": request.path}
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT), self._session.get(page) as answer:
                headers = {"Content-Type": answer.headers.get("Content-Type", "text/html")}
                return web.Response(status=status, body=await answer.read(), headers=headers)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("The hub gives no page for the error: %s", _in_words(error))
            return web.Response(status=status)

    async def _prepared(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Removes the headers that aiohttp has added and the server did not send."""
        if isinstance(response, _Passed):
            for name in ADDED:
                if name not in response.came:
                    response.headers.popall(name, None)
        else:
            response.headers.popall("Server", None)

    @contextlib.contextmanager
    def _open(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1


def _opens_page(request: web.Request) -> bool:
    """Whether a browser shows the answer, and no script reads it."""
    navigates = request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"
    return navigates and request.method in ("GET", "HEAD") and not is_web_socket(request.headers)


def _named(request: web.Request) -> str:
    """A request in the log: without its query, which may have a token, and as ASCII on one line."""
    return f"{request.method} {request.raw_path.partition('?')[0]!a}"


def _in_words(error: Exception) -> str:
    """The same of an error. Those about an answer repeat the URL, and the server's own bytes from the second line."""
    text = error.message.partition("\n")[0] if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return ascii(text or type(error).__name__)
