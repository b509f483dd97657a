"""The operator's figures, for Prometheus: those of the original by their names, and the controller's own."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

FRAMEWORK = "tensorflow"
OUTCOMES = {
    "created": "Jobs that were created",
    "deleted": "Jobs that were deleted",
    "successful": "Jobs that succeeded",
    "failed": "Jobs that failed",
    "restarted": "Replicas that were restarted",
}
BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All figures of one operator, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # the original has none
        self.registry = CollectorRegistry()
        self._jobs = {
            outcome: Counter(
                f"training_operator_jobs_{outcome}",
                text,
                ["job_namespace", "framework"],
                registry=self.registry,
            )
            for outcome, text in OUTCOMES.items()
        }
        self.reconcile_seconds = Histogram(
            "kf_spawner_operator_reconcile_seconds",
            "Time to bring one job on its way, requests included",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.queue_seconds = Histogram(
            "kf_spawner_operator_queue_seconds",
            "Time from the news about a job until its turn began",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.reconcile_errors = Counter(
            "kf_spawner_operator_reconcile_errors", "Attempts that failed and are repeated", registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        self.leader = Gauge(
            "kf_spawner_operator_leader", "1 while this process acts, 0 while it stands by", registry=self.registry
        )

    def count(self, outcome: str, namespace: str) -> None:
        """`outcome` is one of OUTCOMES."""
        self._jobs[outcome].labels(namespace, FRAMEWORK).inc()

    def watch(
        self,
        *,
        queue_depth: Callable[[], int],
        jobs: Callable[[], int],
        requests: Callable[[], Mapping[tuple[str, int], int]],
    ) -> None:
        """Figures that are read when somebody asks for them; `requests` by method and status."""
        for name, text, read in (
            ("kf_spawner_operator_queue_depth", "Jobs that wait for their turn", queue_depth),
            ("kf_spawner_operator_jobs", "Jobs that exist", jobs),
        ):
            Gauge(name, text, registry=self.registry).set_function(read)
        self.registry.register(_Requests(requests))

    def text(self) -> bytes:
        return generate_latest(self.registry)


class _Requests(Collector):
    def __init__(self, read: Callable[[], Mapping[tuple[str, int], int]]):
        self._read = read

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "kf_spawner_operator_api_requests",
            "Requests to the API server, by method and status; 0: no answer came",
            labels=["method", "code"],
        )
        for (method, code), number in sorted(self._read().items()):
            family.add_metric([method, str(code)], number)
        yield family
