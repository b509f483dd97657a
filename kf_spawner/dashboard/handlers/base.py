"""What the handlers of both REST interfaces share: who calls, the service, errors as JSON."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from functools import wraps
from typing import Any, TypeVar

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from kf_spawner.kube import ApiError, ConfigError
from kf_spawner.workloads.errors import RequestError, from_cluster
from kf_spawner.workloads.http import Answers

from ..service import DashboardService
from ..sharing import Places
from .login import Authenticated

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, None]])
T = TypeVar("T")


def guarded(method: Method) -> Method:
    """For each verb: finds the caller, who may have so many requests open, and answers errors as JSON."""

    @wraps(method)
    async def inner(self: "Handler", *args: Any, **kwargs: Any) -> None:
        try:
            self.caller = await self.identify()
            with self.places.take(self.caller.name):
                await method(self, *args, **kwargs)
        except RequestError as error:
            self.refuse(error)
        except (ApiError, ConfigError) as error:
            self.refuse(from_cluster(error))

    return inner  # type: ignore[return-value]


class Handler(Authenticated, Answers):
    """Base of all handlers that answer programs."""

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    @property
    def service(self) -> DashboardService:
        service: DashboardService = self.settings["kf_service"]
        return service

    @property
    def places(self) -> Places:
        """Where this request counts; a stream counts among the streams."""
        return self.service.requests

    @property
    def heartbeat(self) -> float:
        """Seconds of silence after which a stream sends a ping."""
        seconds: float = self.settings["kf_heartbeat"]
        return seconds

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        if isinstance(kwargs.get("exc_info", (None, None))[1], HTTPError):
            super().write_error(status_code, **kwargs)
            return
        message = "the dashboard failed; its log has the cause"
        self.answer({"reason": "InternalError", "message": message}, status=status_code)

    async def pass_on(
        self,
        pieces: AsyncGenerator[bytes, None],
        *,
        begin: bytes | str,
        end: Callable[[], str] = lambda: "",
        change: Callable[[bytes], bytes | str] = bytes,
    ) -> None:
        """Writes `pieces`, each changed, as they come, until they end or the caller disconnects."""
        try:
            self.write(begin)
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    self.write(change(piece))
                    await self.flush()
        except StreamClosedError:
            return
        self.finish(end())

    async def aside(self, work: Callable[..., T], *args: Any) -> T:
        return await self.service.turns.run(self.caller.name, work, *args)

    @property
    def max_body(self) -> int:
        """Bytes."""
        limit: int = self.settings["kf_max_body"]
        return limit
