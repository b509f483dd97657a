"""TF Serving's REST API over one model: parses paths, reads bodies, answers. Owns limits on requests.

Knows neither how models are found nor TensorFlow. Bodies are parsed and predictions run in a pool of threads: nothing
slow runs on the event loop.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

from aiohttp import web

from . import metrics, paths
from .bodies import Bodies, too_large
from .content_encoding import PLAIN, Body, known, measured
from .errors import ServingError, invalid, not_found
from .manager import Model, ModelManager
from .second_process import LARGE

log = logging.getLogger(__name__)

_ALIVE = ("/", "/healthz", "/v2/health/live")
_READY = "/v2/health/ready"


class RestApi:
    """The aiohttp application. `close()` ends its threads once no request is left."""

    def __init__(
        self, manager: ModelManager, *, max_body: int, body_timeout: float, timeout: float, threads: int, queue: int
    ) -> None:
        """`max_body`: bytes of a request's body; `body_timeout`: seconds between two pieces of it; `timeout`: seconds
        to read it, and again to wait; `queue`: requests that wait for one of the `threads`."""
        self._manager = manager
        self._max_body = max_body
        self._bodies = Bodies(largest=max_body, stall=body_timeout, timeout=timeout)
        self._timeout = timeout
        self._most = threads + queue
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="predict")
        # Large bodies are read, and large answers written, one after the other: while they wait for the second
        # process, they must not take the threads that run predictions.
        self._one_thread = ThreadPoolExecutor(1, thread_name_prefix="large")
        self.metrics = metrics.Metrics(manager.name, lambda: self._in_flight)
        self._in_flight = 0
        """Requests whose bodies are complete, and that are not answered."""

    @property
    def threads(self) -> Executor:
        """Those that run predictions."""
        return self._threads

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        return app

    def runner(self, shutdown_timeout: float) -> web.AppRunner:
        """Listens for the application. `shutdown_timeout`: seconds that running requests get when it ends."""
        # Bodies come as they were sent: aiohttp would decompress on the event loop, and count bytes afterwards.
        return web.AppRunner(
            self.application(), auto_decompress=False, access_log=None, shutdown_timeout=shutdown_timeout
        )

    def close(self) -> None:
        self._threads.shutdown()
        self._one_thread.shutdown()

    async def _handle(self, request: web.Request) -> web.Response:
        answer = await self._in_words(request)
        # A caller that sends its next request just when the process ends gets none.
        return _last(answer) if self._manager.is_ending else answer

    async def _in_words(self, request: web.Request) -> web.Response:
        try:
            return await self._dispatch(request)
        except ServingError as error:
            return _error(error.http_status, error.message)
        except web.HTTPException as error:
            return _last(_error(error.status, error.text or error.reason))
        except web.RequestPayloadError as error:
            return _last(_error(400, f"The request's body cannot be read: {error}"))
        except (asyncio.CancelledError, ConnectionError):
            raise  # the server ends, or the caller has gone
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return _error(500, "The model server failed: its log has the details")

    async def _dispatch(self, request: web.Request) -> web.Response:
        address = paths.parse(request.method, request.path)
        if address is not None:
            return await self._answered(request, address)
        if request.method in ("GET", "HEAD") and (answer := self._monitoring(request.path)):
            return answer
        if request.path.startswith("/v1/"):
            raise invalid(f"Malformed request: {request.method} {request.path}")
        raise not_found(f"There is nothing at {request.path}: the model is at /v1/models/{self._manager.name}")

    async def _answered(self, request: web.Request, address: paths.Address) -> web.Response:
        if request.method != address.method:
            refused = _error(405, f"Malformed request: {request.method} {request.path}: use {address.method}")
            refused.headers["Allow"] = address.method
            return refused
        version = address.version_of(self._manager.name)
        if address.asks == "status":
            return self._status(version)
        if address.asks == "metadata":
            return self._metadata(version)
        return await self._predict(request, address.asks, version)

    def _monitoring(self, path: str) -> web.Response | None:
        if path in _ALIVE:
            return _json({"status": "alive"})
        if path == _READY:
            is_ready = self._manager.is_serving
            return _json({"ready": is_ready}, 200 if is_ready else 503)
        if path == metrics.PATH:
            return web.Response(body=self.metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})
        return None

    def _status(self, version: int | None) -> web.Response:
        statuses = [
            {
                "version": str(number),
                "state": state.state,
                "status": {"error_code": state.code, "error_message": state.message},
            }
            for number, state in self._manager.states(version).items()
        ]
        return _json({"model_version_status": statuses})

    def _metadata(self, version: int | None) -> web.Response:
        with self._manager.use(version) as servable:
            spec = {
                "name": self._manager.name,
                "signature_name": "",
                "version": str(servable.version.number),
            }
            signatures = {"signature_def": servable.model.metadata()}
            return _json({"model_spec": spec, "metadata": {"signature_def": signatures}})

    async def _predict(self, request: web.Request, verb: str, version: int | None) -> web.Response:
        encoding = known(request.headers.get("Content-Encoding"))
        async with self._bodies.read(request) as sent:
            with self.metrics.request(verb, "REST"), self._place():
                body = await self._measured(sent, encoding)
                answer = await self._run(verb, body, version, lambda: request.transport is not None)
        return web.Response(body=answer, content_type="application/json")

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """A place among those that run or wait. Raises `ServingError` if there is none."""
        if self._in_flight >= self._most:
            raise ServingError("RESOURCE_EXHAUSTED", f"{self._in_flight} requests wait already: try again later")
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1

    async def _measured(self, sent: bytes, encoding: str) -> Body:
        body = measured(sent, encoding, LARGE)
        if body.size > LARGE and encoding != PLAIN:
            in_thread = asyncio.get_running_loop().run_in_executor
            body = await in_thread(self._one_thread, measured, sent, encoding, self._max_body)
        if body.size > self._max_body:
            raise too_large(self._max_body)
        return body

    async def _run(self, verb: str, body: Body, version: int | None, is_wanted: Callable[[], bool]) -> bytes:
        """The model is in use until the thread ends, also after the caller has closed the connection."""
        with self._manager.use(version) as servable:
            job = asyncio.create_task(self._answer(servable.model, verb, body, is_wanted))
            try:
                return await asyncio.shield(job)
            except asyncio.CancelledError:
                await asyncio.gather(job, return_exceptions=True)
                raise

    async def _answer(self, model: Model, verb: str, body: Body, is_wanted: Callable[[], bool]) -> bytes:
        """A prediction in a thread of the pool; before and after it what is large, in the thread for that."""
        in_thread = asyncio.get_running_loop().run_in_executor
        end = time.monotonic() + self._timeout

        def read() -> Any:
            if not is_wanted():
                raise ServingError("CANCELLED", "The caller has gone")
            try:
                return model.read(verb, body.decoded())
            except ServingError as error:
                raise error.with_traceback(None)  # noqa: B904 - whose frames hold the decoded body

        large = await in_thread(self._one_thread, read) if body.size > LARGE else None

        def predict() -> tuple[bytes | None, Any]:
            inputs = read() if large is None else large
            if time.monotonic() > end:
                raise ServingError("DEADLINE_EXCEEDED", f"No thread was free for it within {self._timeout:g} s")
            outputs = model.predict(inputs)
            return (None, outputs) if outputs.is_large else (model.write(outputs), None)

        answer, outputs = await in_thread(self._threads, predict)
        return await in_thread(self._one_thread, model.write, outputs) if answer is None else answer


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(status=status, body=json.dumps(document, indent=1).encode(), content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    answer = _json({"error": message}, status)
    if status == 429:
        answer.headers["Retry-After"] = "1"
    return answer


def _last(answer: web.Response) -> web.Response:
    """The last answer of its connection, which it says: the request's end is not known, or too far away."""
    answer.force_close()
    return answer
