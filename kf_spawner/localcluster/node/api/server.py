"""The HTTP API of a kubelet: logs and exec, over TLS, for known clients only.

Owns the routes, the check of the client and the form of errors. It asks a ContainerAccess about containers.
"""

import asyncio
import contextlib
import functools
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aiohttp import web

from .container_logs import TRUE, LogOptionError, parse_options, stream_logs
from .exec_channels import PROTOCOLS, serve_exec
from .exec_process import ExecRequest

log = logging.getLogger(__name__)

API_SERVER = "kube-apiserver-kubelet-client"
STOP_TIMEOUT = 0.5
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTAINER = "/{namespace}/{pod}/{container}"
NO_PORT_FORWARD = (
    "this node has no port-forward, and you do not need it: its pods listen on this machine's loopback interface. "
    "`kubectl get pod NAME -o wide` shows the address"
)
NO_ATTACH = (
    "this node has no attach; `kubectl logs -f` shows the output of a container, `kubectl exec -it` opens a shell"
)
NEED_WEBSOCKET = (
    "this node supports exec over WebSocket only (v5.channel.k8s.io or v4.channel.k8s.io): use a client of Kubernetes"
    " 1.31 or later, with an API server of 1.36 or later that has the feature ExtendWebSocketsToKubelet on"
)


class LogsUnavailable(Exception):
    """There is no log; the message is for the user. `status` is 404 if the pod or container does not exist."""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ContainerAccess(Protocol):
    """What the server needs to know about the containers of this node."""

    def log_files(self, namespace: str, pod: str, container: str, previous: bool) -> Sequence[Path]:
        """Files of the current run (or the one before), oldest first. Raises LogsUnavailable."""

    def running(self, namespace: str, pod: str, container: str) -> bool:
        """Whether the container runs now."""

    async def wait_stopped(self, namespace: str, pod: str, container: str) -> None:
        """Returns when the current run has ended and all its output is in its files."""

    def exec_context(self, namespace: str, pod: str, container: str) -> tuple[Mapping[str, str], str]:
        """Environment and working directory of the container's process."""

    def translate_argv(self, namespace: str, pod: str, container: str, argv: Sequence[str]) -> Sequence[str]:
        """The command, with the paths and addresses of the pod replaced by those of this machine."""


@dataclass(frozen=True, kw_only=True)
class ServerTls:
    """PEM files: the certificate and key of the node, and the authority that signs client certificates."""

    certificate: Path
    key: Path
    client_authority: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.client_authority))
        context.load_cert_chain(self.certificate, self.key)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        return context


class NodeServer:
    """`async with NodeServer(...) as server:` listens; `server.port` is where.

    `clients` are the common names of the certificates that may call. The same authority also signs certificates
    for users and for the node: these may not call.
    """

    def __init__(
        self,
        access: ContainerAccess,
        *,
        tls: ServerTls,
        host: str = "127.0.0.1",
        port: int = 0,
        clients: Collection[str] = (API_SERVER,),
    ) -> None:
        self._access = access
        self._tls = tls
        self._host = host
        self._port = port
        self._clients = frozenset(clients)
        app = web.Application(middlewares=[self._authorize])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/containerLogs" + CONTAINER, self._logs)
        # A client that knows only SPDY sends POST: it gets an explanation.
        app.router.add_route("GET", "/exec" + CONTAINER, self._exec)
        app.router.add_route("POST", "/exec" + CONTAINER, self._exec)
        app.router.add_route("*", "/attach" + CONTAINER, refuse(NO_ATTACH))
        app.router.add_route("*", "/portForward/{namespace}/{pod}", refuse(NO_PORT_FORWARD))
        # A client that goes must end its handler: a followed log without output would not notice it.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=STOP_TIMEOUT, handle_signals=False
        )

    @property
    def port(self) -> int:
        """The TCP port, for `status.daemonEndpoints.kubeletEndpoint`."""
        return self._port

    async def __aenter__(self) -> "NodeServer":
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, ssl_context=self._tls.context())
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        name = common_name(request)
        if name not in self._clients:
            raise web.HTTPForbidden(text=f"{name or 'this client'} may not call this node; ask the API server")
        return await handler(request)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        who = container_of(request)
        try:
            options = parse_options(request.query)
            first = self._access.log_files(*who, options.previous)
        except LogOptionError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        except LogsUnavailable as error:
            raise text_error(error.status, str(error)) from error
        folders = {path.parent for path in first}

        def files() -> list[Path]:
            """The files of the requested run only: the next run has its own log."""
            try:
                now = self._access.log_files(*who, options.previous)
            except LogsUnavailable:
                return []
            return [path for path in now if path.parent in folders]

        follows = options.follow and not options.previous and self._access.running(*who)
        stopped = functools.partial(self._access.wait_stopped, *who) if follows else None
        response = web.StreamResponse(headers={"Content-Type": "text/plain"})
        await response.prepare(request)
        await copy(stream_logs(files, options, stopped=stopped), response)
        return response

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        who = container_of(request)
        argv = request.query.getall("command", [])
        if not argv:
            raise web.HTTPBadRequest(text="command: give the command to run")
        if not self._access.running(*who):
            namespace, pod, container = who
            raise web.HTTPBadRequest(text=f'container "{container}" of pod "{namespace}/{pod}" is not running')
        if not offers_websocket(request):
            raise web.HTTPBadRequest(text=NEED_WEBSOCKET)
        env, cwd = self._access.exec_context(*who)
        wanted = {name: request.query.get(name, "").lower() in TRUE for name in ("input", "output", "error", "tty")}
        exec_request = ExecRequest(
            argv=list(self._access.translate_argv(*who, argv)),
            env=env,
            cwd=cwd,
            stdin=wanted["input"],
            stdout=wanted["output"],
            stderr=wanted["error"],
            tty=wanted["tty"],
        )
        return await serve_exec(request, exec_request, stopped=functools.partial(self._access.wait_stopped, *who))


async def copy(chunks: AsyncGenerator[bytes, None], response: web.StreamResponse) -> None:
    """Sends all `chunks` to the client. It is not an error if the client goes."""
    try:
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                await response.write(chunk)
                # One long log must not block the event loop.
                await asyncio.sleep(0)
        await response.write_eof()
    except ConnectionResetError:
        log.debug("a client that read a log has gone")


def refuse(message: str) -> Handler:
    """A handler that explains why the node refuses."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=400, text=message)

    return handler


def text_error(status: int, message: str) -> web.HTTPException:
    """A kubelet sends errors as plain text; the API server turns them into a Status."""
    return web.HTTPNotFound(text=message) if status == 404 else web.HTTPBadRequest(text=message)


def container_of(request: web.Request) -> tuple[str, str, str]:
    info = request.match_info
    return info["namespace"], info["pod"], info["container"]


def offers_websocket(request: web.Request) -> bool:
    """Whether the client asks for a WebSocket with a protocol that we support."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
    return request.headers.get("Upgrade", "").lower() == "websocket" and any(name in PROTOCOLS for name in offered)


def common_name(request: web.Request) -> str:
    """The common name in the client's certificate."""
    certificate = request.get_extra_info("peercert") or {}
    names = [value for group in certificate.get("subject", ()) for key, value in group if key == "commonName"]
    return names[0] if names else ""
