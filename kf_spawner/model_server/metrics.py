"""The model server's figures for Prometheus: TF Serving's by their names and labels, and its own."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import UnknownMetricFamily
from prometheus_client.registry import Collector

from .errors import ServingError

PATH = "/monitoring/prometheus/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_MICROSECONDS = tuple(round(10 * 1.8**step) for step in range(33))
"""TF Serving's buckets."""


class Metrics(Collector):
    """All figures of one server, in a registry of their own."""

    def __init__(self, model: str, in_flight: Callable[[], int]) -> None:
        """`in_flight`: how many requests wait or run."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # TF Serving has none
        self._model = model
        self._counts: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from a complete body or message to its answer, of requests that succeeded",
            ["model_name", "API", "entrypoint"],
            buckets=_MICROSECONDS,
            registry=self._registry,
        )
        gauge = Gauge("kf_model_server_requests", "Requests that wait or run", registry=self._registry)
        gauge.set_function(in_flight)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    @contextlib.contextmanager
    def request(self, api: str, entrypoint: str) -> Iterator[None]:
        """Counts one request, and measures it if it succeeds.

        As TF Serving writes them: `api` is `predict` with the `entrypoint` `REST`, `Predict` with `GRPC`.
        """
        began, code = time.monotonic(), "INTERNAL"
        try:
            yield
            code = "OK"
            microseconds = (time.monotonic() - began) * 1e6
            self._latency.labels(self._model, api, entrypoint).observe(microseconds)
        except ServingError as error:
            code = error.code
            raise
        except web.HTTPException:  # a body that is too large once it is decompressed
            code = "INVALID_ARGUMENT"
            raise
        finally:
            self._counts[code] += 1

    def collect(self) -> Iterator[UnknownMetricFamily]:
        """The count, which Prometheus' own counters would write with `_total` after its name."""
        family = UnknownMetricFamily(
            ":tensorflow:serving:request_count",
            "Requests with a complete body or message",
            labels=["model_name", "status"],
        )
        for code, count in sorted(self._counts.items()):
            family.add_metric([self._model, code], count)
        yield family

    def text(self) -> bytes:
        """All figures in Prometheus' format."""
        return generate_latest(self._registry)
