"""What all handlers share: who may call, the managers, errors as JSON."""

from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from functools import wraps
from typing import Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin
from tornado import web

from kf_spawner.kube import ApiError, ConfigError
from kf_spawner.workloads.errors import RequestError, from_cluster
from kf_spawner.workloads.http import Answers
from kf_spawner.workloads.jobs import Jobs
from kf_spawner.workloads.wire import JobStreamItem, LogItem, LogLine

from ..endpoints import Endpoints

Method = TypeVar("Method", bound=Callable[..., Coroutine[Any, Any, None]])


def guarded(method: Method) -> Method:
    """For each verb: refuses callers without a login or the right, and answers a manager's errors as JSON."""

    @web.authenticated
    @authorized
    @wraps(method)
    async def inner(self: "Handler", *args: Any, **kwargs: Any) -> None:
        try:
            await method(self, *args, **kwargs)
        except RequestError as error:
            self.refuse(error)
        except (ApiError, ConfigError) as error:
            self.refuse(from_cluster(error))

    return inner  # type: ignore[return-value]


class Handler(Answers, ExtensionHandlerMixin, APIHandler):
    """Base of all handlers."""

    auth_resource = "kf"

    @property
    def jobs(self) -> Jobs:
        jobs: Jobs = self.settings["kf_jobs"]
        return jobs

    @property
    def endpoints(self) -> Endpoints:
        endpoints: Endpoints = self.settings["kf_endpoints"]
        return endpoints

    @property
    def heartbeat(self) -> float:
        """Seconds of silence after which a stream sends a ping."""
        seconds: float = self.settings["kf_heartbeat"]
        return seconds


async def log_lines(
    items: AsyncGenerator[JobStreamItem, None] | AsyncGenerator[LogItem, None], replica: str | None = None
) -> AsyncGenerator[LogLine, None]:
    """Only the log lines of a stream (of one replica), without the items' type."""
    async with aclosing(items):
        async for item in items:
            if item["type"] == "log" and replica in (None, item["replica"]):
                line: LogLine = {
                    "replica": item["replica"],
                    "time": item["time"],
                    "line": item["line"],
                    "cursor": item["cursor"],
                }
                yield {**line, "continues": True} if "continues" in item else line
