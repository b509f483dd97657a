"""HTTP for the REST interfaces of notebook server and dashboard: bodies in; JSON, errors and streams out.

Knows tornado and nothing above it: a handler mixes `Answers` in beside the base class of its own server.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from tornado import web
from tornado.iostream import StreamClosedError

from .errors import RequestError
from .log_cursor import Cursor, CursorError
from .parsing import from_json, parse_manifest

Items = AsyncGenerator[Mapping[str, Any], None]
T = TypeVar("T")


class Answers(web.RequestHandler):
    """Answers are JSON; errors are {"reason", "message", "field"?}."""

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        super().initialize(*args, **kwargs)
        self._hung_up = asyncio.Event()

    def on_connection_close(self) -> None:
        self._hung_up.set()
        super().on_connection_close()

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        """`work(*args)`, which may take longer than the event loop may stand still: in a thread."""
        return await asyncio.to_thread(work, *args)

    def compute_etag(self) -> None:
        """None: a digest of a long answer takes long, and nobody asks for the same answer again."""

    async def answer_with(self, make: Callable[..., Any], *args: Any) -> None:
        """Answers `make(*args)`, which may be long, or take long to make."""
        body = await self.aside(lambda: _json(make(*args)).encode())
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(body)

    def answer(self, body: Mapping[str, Any] | Sequence[Any], *, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(body))

    def refuse(self, error: RequestError) -> None:
        if self._headers_written:  # the stream has begun: the error is its last line
            self.finish(json.dumps({"type": "error", **error.body()}) + "\n")
            return
        self.answer(error.body(), status=error.status)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Errors of tornado and the Jupyter server, in the same shape."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        reason = (getattr(error, "reason", None) or self._reason).title().replace(" ", "")
        message = getattr(error, "log_message", None) or self._reason
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"reason": reason, "message": message}))

    def body_of(self, *, limit: int) -> bytes:
        """The request's body; RequestError 413 when it is larger than `limit` bytes."""
        size = len(self.request.body)
        if size > limit:
            raise RequestError(
                413,
                "TooLarge",
                f"the request has {size:,} bytes and may have {limit:,}: put data on the home volume instead",
                field="body",
            )
        return self.request.body

    async def json_object(self, *, limit: int) -> dict[str, Any]:
        """The body as a JSON object."""
        value = await self.aside(lambda body: from_json(body, field="body"), self.body_of(limit=limit))
        if not isinstance(value, dict):
            raise RequestError(400, "BadRequest", "the body must be a JSON object", field="body")
        return value

    async def manifest_or_json(self, *, limit: int) -> dict[str, Any]:
        """The body: a JSON object, or the one manifest in YAML where the header says so."""
        if "yaml" not in self.request.headers.get("Content-Type", ""):
            return await self.json_object(limit=limit)
        text = self.body_of(limit=limit).decode(errors="replace")
        return await self.aside(parse_manifest, text)

    def cursors(self) -> dict[str, Cursor]:
        """The line after which each log continues, by the pod's uid: the query's `after` parameters."""
        try:
            found = [Cursor.parse(text) for text in self.get_query_arguments("after")]
        except CursorError as error:
            message = f"{error}: send the `cursor` of a line of this log, unchanged"
            raise RequestError(400, "BadRequest", message, field="after") from error
        return {cursor.pod: cursor for cursor in found}

    async def stream(self, items: Items, *, heartbeat: float) -> None:
        """Sends each item at once as one line of JSON, until the items end or the caller disconnects.

        After `heartbeat` seconds without an item a line {"type": "ping"} is sent.
        """
        self.set_header("Content-Type", "application/x-ndjson")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Accel-Buffering", "no")
        gone = asyncio.create_task(self._hung_up.wait())
        try:
            async with contextlib.aclosing(with_heartbeats(items, every=heartbeat)) as beats:
                async for item in _until(beats, gone):
                    # A log's lines are many and short; anything else may be as large as a job is.
                    text = json.dumps(item) if "line" in item else await self.aside(_json, item)
                    self.write(text + "\n")
                    await self.flush()
        except StreamClosedError:
            return
        finally:
            gone.cancel()
        if not self._hung_up.is_set():
            self.finish()


def _json(value: Any) -> str:
    return "".join(json_pieces(value))


def json_pieces(value: Any, *, levels: int = 2) -> Iterator[str]:
    """The JSON of `value` in pieces: no call of the encoder, which lets no other thread run, gets all of a list."""
    if levels and isinstance(value, dict):
        yield "{"
        for number, (name, one) in enumerate(value.items()):
            yield f"{', ' if number else ''}{json.dumps(name)}: "
            yield from json_pieces(one, levels=levels - 1)
        yield "}"
    elif levels and isinstance(value, list):
        yield "["
        for number, one in enumerate(value):
            yield f"{', ' if number else ''}{json.dumps(one)}"
        yield "]"
    else:
        yield json.dumps(value)


async def with_heartbeats(items: Items, *, every: float) -> Items:
    """`items`, and {"type": "ping"} after each `every` seconds without one, so that no proxy disconnects."""
    async with contextlib.aclosing(items):
        pending: asyncio.Task[Any] | None = None
        try:
            while True:
                pending = pending or asyncio.ensure_future(anext(items))
                done, _ = await asyncio.wait({pending}, timeout=every)
                if not done:
                    yield {"type": "ping"}
                    continue
                task, pending = pending, None
                try:
                    item = task.result()
                except StopAsyncIteration:
                    return
                yield item
        finally:
            if pending is not None:
                pending.cancel()
                await asyncio.gather(pending, return_exceptions=True)


async def _until(items: Items, gone: asyncio.Task[bool]) -> Items:
    """`items`, until they end or the caller's connection does."""
    while not gone.done():
        step = asyncio.ensure_future(anext(items))
        try:
            await asyncio.wait({step, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not step.done():
                step.cancel()
                await asyncio.gather(step, return_exceptions=True)
        if step.cancelled():
            return
        try:
            item = step.result()
        except StopAsyncIteration:
            return
        yield item


def flag(value: str | None, *, field: str) -> bool:
    """A query argument such as `follow`, `follow=1` or `follow=false`."""
    if value is None or value.lower() in ("0", "false", "no"):
        return False
    if value.lower() in ("", "1", "true", "yes"):
        return True
    raise RequestError(400, "BadRequest", f"{field}={value} is neither true nor false", field=field)
