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
from kf_spawner.workloads.jobs import parse_manifest

from ..service import DashboardService
from .login import Authenticated

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, None]])


def guarded(method: Method) -> Method:
    """For each verb: finds the caller, and answers the service's errors as JSON."""

    @wraps(method)
    async def inner(self: "Handler", *args: Any, **kwargs: Any) -> None:
        try:
            self.caller = await self.identify()
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
        end: str = "",
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
        self.finish(end)

    def json_body(self) -> dict[str, Any]:
        return self.json_object(limit=self.settings["kf_max_body"])

    def manifest_or_json(self) -> dict[str, Any]:
        """The body: JSON, or YAML where the header says so."""
        if "yaml" not in self.request.headers.get("Content-Type", ""):
            return self.json_body()
        return parse_manifest(self.body_of(limit=self.settings["kf_max_body"]).decode(errors="replace"))
