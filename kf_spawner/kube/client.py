"""Requests to the API server: one method a verb, dicts in and out, errors as exceptions, time-outs on everything."""

import asyncio
import contextlib
import copy
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import aiohttp

from kf_spawner.k8s.resources import Resource

from .config import ClusterConfig
from .errors import ApiError, ConfigError, Gone, Unauthorized, Unreachable, from_status
from .json_text import decoded
from .lines import Line, split_lines
from .paths import path_of
from .resources import PODS

REQUEST_TIMEOUT = 30.0
CONNECT_TIMEOUT = 10.0
WATCH_TIMEOUT = 300
WATCH_SILENCE = 130.0  # the API server sends a bookmark every minute
EVENT_LIMIT = 16 * 1024 * 1024  # bytes of one event of a watch
LOG_PIECE = 64 * 1024
UNAUTHORIZED = 401
PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}
APPLY_TYPE = "application/apply-patch+yaml"
Body = dict[str, Any] | list[Any]  # the class below has a method named list
Lines = AsyncGenerator[Line, None]


class Client:
    """A connection pool to one API server. Use it as an async context manager.

    `timeout` is in seconds, for a whole request that is not a stream. Every method raises an ApiError: a subclass
    names the cause, Unreachable means that no answer came. `before_write` is called right before each request that is
    not a GET; if it raises, the request is not sent. `requests` counts by method (`WATCH`: a stream) and status (0:
    no answer). `is_refused`: the API server did not accept the credentials of the newest request, or there was no
    token. If there is a new token by then, the request is sent once more with it.
    """

    def __init__(
        self,
        config: ClusterConfig,
        *,
        user_agent: str,
        timeout: float = REQUEST_TIMEOUT,
        connections: int = 32,
        before_write: Callable[[], None] = lambda: None,
    ):
        self.config = config
        self.requests: Counter[tuple[str, int]] = Counter()
        self.is_refused = False
        self._before_write = before_write
        self._user_agent = user_agent
        self._timeout = aiohttp.ClientTimeout(total=timeout, sock_connect=CONNECT_TIMEOUT)
        self._stream_timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
        self._connections = connections
        self._free_connection = asyncio.Semaphore(connections)
        self._session: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._acting_as = ""

    def acting_as(self, user: str) -> "Client":
        """A client on the same connections whose requests have the rights of `user` only.

        Needs RBAC's verb `impersonate` for that user. It ends with the client that it came from.
        """
        assert self._session is not None, "use the client as an async context manager"
        other = copy.copy(self)
        other._acting_as = user
        return other

    async def __aenter__(self) -> "Client":
        self._session = self._open(self._connections)
        self._streams = self._open(0)  # a stream may last for days: it does not count against the requests
        return self

    async def __aexit__(self, *_exc: object) -> None:
        for session in (self._session, self._streams):
            if session is not None:
                await session.close()
        self._session = self._streams = None

    def _open(self, connections: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=connections, ssl=self.config.tls or True)
        return aiohttp.ClientSession(
            connector=connector, headers={"User-Agent": self._user_agent}, read_bufsize=256 * 1024
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Body | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        """Sends any request that the methods below do not cover. Returns the answer's JSON."""
        assert self._session is not None, "use the client as an async context manager"
        headers = {"Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            headers["Content-Type"] = content_type
        async with self._free_connection:  # so that the request is sent right after `before_write`
            identity = await self._identity()
            try:
                return await self._send(method, path, params=params, data=data, headers={**headers, **identity})
            except Unauthorized:
                renewed = await self._identity()
                if renewed == identity:
                    raise
            return await self._send(method, path, params=params, data=data, headers={**headers, **renewed})

    async def _send(
        self, method: str, path: str, *, params: dict[str, Any] | None, data: bytes | None, headers: dict[str, Any]
    ) -> dict[str, Any]:
        assert self._session is not None
        if method != "GET":
            self._before_write()
        status = 0
        try:
            async with self._session.request(
                method,
                self.config.server + path,
                params=params,
                data=data,
                headers=headers,
                timeout=self._timeout,
            ) as response:
                text = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(self._unreachable(error)) from error
        finally:
            self.requests[method, status] += 1
        self.is_refused = status == UNAUTHORIZED
        if status >= 400:
            raise self._error_of(status, text)
        return await decoded(text) if text else {}

    def _error_of(self, status: int, text: bytes) -> ApiError:
        if status != UNAUTHORIZED:
            return from_status(status, _json_or_message(text))
        self.config.token.forget()
        message = (
            f"the API server {self.config.server} does not accept {self.config.token.source}: "
            "it has expired, or its account was deleted"
        )
        return Unauthorized(status, "Unauthorized", message)

    def _unreachable(self, error: BaseException) -> str:
        return f"the API server {self.config.server} does not answer: {error or type(error).__name__}"

    async def _identity(self) -> dict[str, str]:
        try:
            token = await self.config.token.current()
        except ConfigError as error:
            self.is_refused = True
            raise Unauthorized(UNAUTHORIZED, "Unauthorized", str(error)) from error
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return {**headers, "Impersonate-User": self._acting_as} if self._acting_as else headers

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> dict[str, Any]:
        return await self.request("GET", path_of(resource, namespace, name))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> dict[str, Any]:
        """The whole collection, from the API server's newest cached state; items have apiVersion and kind."""
        params = _selectors(label_selector, field_selector)
        result = await self.request("GET", path_of(resource, namespace), params=params)
        for item in result.get("items") or []:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        result["items"] = result.get("items") or []
        return result

    async def create(self, resource: Resource, obj: dict[str, Any], namespace: str | None = None) -> dict[str, Any]:
        namespace = namespace or obj["metadata"].get("namespace")
        return await self.request("POST", path_of(resource, namespace), body=obj)

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str | None, subresource: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        return await self.request("POST", path_of(resource, namespace, name, subresource), body=body)

    async def replace(
        self, resource: Resource, obj: dict[str, Any], *, subresource: str | None = None
    ) -> dict[str, Any]:
        meta = obj["metadata"]
        return await self.request(
            "PUT", path_of(resource, meta.get("namespace"), meta["name"], subresource), body=obj
        )

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Body,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        kind: str = "merge",
    ) -> dict[str, Any]:
        path = path_of(resource, namespace, name, subresource)
        return await self.request("PATCH", path, body=patch, content_type=PATCH_TYPES[kind])

    async def apply(
        self, resource: Resource, obj: dict[str, Any], *, field_manager: str, force: bool = True
    ) -> dict[str, Any]:
        """Server-side apply: creates the object, or sets the fields that `obj` has."""
        meta = obj["metadata"]
        return await self.request(
            "PATCH",
            path_of(resource, meta.get("namespace"), meta["name"]),
            params={"fieldManager": field_manager, "force": str(force).lower()},
            body=obj,
            content_type=APPLY_TYPE,
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        grace_period: int | None = None,
        propagation: str = "Background",
        uid: str | None = None,
    ) -> dict[str, Any]:
        """Deletes the object; with `uid` only the one that has it (else Conflict). `grace_period` in seconds."""
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        return await self.request("DELETE", path_of(resource, namespace, name), body=options)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        """(type, object) as they come, until the server ends the watch, which it does after some minutes.

        Types: ADDED, MODIFIED, DELETED, BOOKMARK. Raises Gone when `resource_version` is too old to resume from.
        """
        params = {
            **_selectors(label_selector, field_selector),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(WATCH_TIMEOUT),
        }
        # A quiet watch still gets bookmarks: a silent connection is dead.
        path = path_of(resource, namespace)
        chunks = self._chunks(path, params, read_timeout=WATCH_SILENCE)
        async with contextlib.aclosing(split_lines(chunks, longest=EVENT_LIMIT)) as lines:
            async for line in lines:
                if line.continues:
                    raise Gone(410, "EventTooLarge", f"an event of more than {EVENT_LIMIT} bytes")
                event = json.loads(line.data)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise from_status(status.get("code") or 500, status)
                yield event["type"], event["object"]

    async def logs(
        self,
        namespace: str,
        pod: str,
        container: str | None = None,
        *,
        follow: bool = False,
        tail_lines: int | None = None,
        since_time: str | None = None,
        timestamps: bool = False,
        previous: bool = False,
    ) -> AsyncGenerator[bytes, None]:
        """A container's log in pieces as they come. `since_time` is in RFC 3339."""
        options = {
            "container": container,
            "follow": "true" if follow else None,
            "tailLines": tail_lines,
            "sinceTime": since_time,
            "timestamps": "true" if timestamps else None,
            "previous": "true" if previous else None,
        }
        params = {key: str(value) for key, value in options.items() if value is not None}
        read_timeout = None if follow else REQUEST_TIMEOUT
        path = path_of(PODS, namespace, pod, "log")
        async with contextlib.aclosing(self._chunks(path, params, read_timeout=read_timeout)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def log_lines(self, namespace: str, pod: str, container: str | None = None, **options: Any) -> Lines:
        """The same as lines. One of more than LOG_PIECE bytes comes in pieces."""
        chunks = self.logs(namespace, pod, container, **options)
        async with contextlib.aclosing(split_lines(chunks, longest=LOG_PIECE)) as lines:
            async for line in lines:
                yield line

    async def _chunks(
        self, path: str, params: dict[str, Any], *, read_timeout: float | None
    ) -> AsyncGenerator[bytes, None]:
        assert self._streams is not None, "use the client as an async context manager"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=read_timeout)
        url = self.config.server + path
        identity = await self._identity()
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT) as until_headers:
                async with self._streams.get(url, params=params, headers=identity, timeout=timeout) as response:
                    self.requests["WATCH", response.status] += 1
                    self.is_refused = response.status == UNAUTHORIZED
                    if response.status >= 400:
                        raise self._error_of(response.status, await response.read())
                    until_headers.reschedule(None)
                    async for chunk in response.content.iter_any():
                        yield chunk
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(self._unreachable(error)) from error


def _selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    params = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if field_selector:
        params["fieldSelector"] = field_selector
    return params


def _json_or_message(text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"message": text.decode(errors="replace").strip()[:1000]}
