"""A run of all rows of the contract at once: what failed, and the operator's metrics."""

import asyncio
import re
import time
from collections.abc import Sequence

from tests.operator.conftest import OperatorProcess
from tests.operator.job_driver import LIMIT, JobDriver, Row, Snapshot

OUTCOMES = ("created", "deleted", "successful", "failed", "restarted")


class ContractRun:
    """`failures`: what was wrong, by row; `metrics`: the expected and the found counts, by namespace."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.metrics: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
        self.seconds = 0.0

    async def run(self, driver: JobDriver, rows: Sequence[Row]) -> None:
        began = time.monotonic()
        results = await asyncio.gather(*(driver.run(row) for row in rows), return_exceptions=True)
        for row, result in zip(rows, results, strict=True):
            # A row must still hold after the last one has run.
            wrong = [repr(result)] if result and not isinstance(result, AssertionError) else []
            if result or driver.snapshot(row).differences():
                self.failures[row.name] = "\n".join([*wrong, str(result or ""), driver.describe(row)])
        self.seconds += time.monotonic() - began

    async def read_metrics(self, driver: JobDriver, rows: Sequence[Row], operator: OperatorProcess) -> None:
        """Reads the operator's metrics until they match the jobs: it counts after it has acted."""
        deadline = time.monotonic() + LIMIT
        while True:
            wanted = expected_metrics(rows, [driver.snapshot(row) for row in rows])
            found = metrics_of(operator.get("/metrics"), driver.namespace)
            self.metrics[driver.namespace] = wanted, found
            if found == wanted or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.1)


def metrics_of(metrics: str, namespace: str) -> dict[str, int]:
    """The operator's counters, under the names and labels of the original operator."""
    label = re.escape(f'{{framework="tensorflow",job_namespace="{namespace}"}}')
    found = {
        outcome: re.search(rf"^training_operator_jobs_{outcome}_total{label} (\S+)$", metrics, re.M)
        for outcome in OUTCOMES
    }
    return {outcome: int(float(match[1])) if match else 0 for outcome, match in found.items()}


def expected_metrics(rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> dict[str, int]:
    """The counts that follow from the states of existing jobs, and from the rows of deleted jobs."""
    states = [snapshot.state for snapshot in snapshots]
    names = {row.name for row in rows}
    restarts = [memory.get("restarts", 0) for s in snapshots for memory in s.status.get("tasks", {}).values()]
    return {
        "created": len(names - {"managed-by-kueue"}),
        "deleted": len([row for row in rows if row.deleted]),
        "successful": states.count("Succeeded") + len(names & {"ttl"}),
        "failed": states.count("Failed") + len(names & {"ttl-0"}),
        # The restart past the backoff limit does not happen.
        "restarted": sum(restarts) - len(names & {"backoff-limit"}),
    }
