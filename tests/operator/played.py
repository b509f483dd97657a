"""All rows of the contract played at once: what was not as a row says, and what the operator counted meanwhile."""

import asyncio
import re
import time
from collections.abc import Sequence

from tests.operator.conftest import OperatorProcess
from tests.operator.stage import LIMIT, Row, Scene, Stage

OUTCOMES = ("created", "deleted", "successful", "failed", "restarted")


class Played:
    """`failures`: what was wrong, by row; `figures`: those wanted and those found, by namespace."""

    def __init__(self) -> None:
        self.failures: dict[str, str] = {}
        self.figures: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
        self.seconds = 0.0

    async def play(self, stage: Stage, rows: Sequence[Row]) -> None:
        began = time.monotonic()
        results = await asyncio.gather(*(stage.play(row) for row in rows), return_exceptions=True)
        for row, result in zip(rows, results, strict=True):
            # What was so while others were played must be so still.
            wrong = [repr(result)] if result and not isinstance(result, AssertionError) else []
            if result or stage.scene(row).differences():
                self.failures[row.name] = "\n".join([*wrong, str(result or ""), stage.tell(row)])
        self.seconds += time.monotonic() - began

    async def count(self, stage: Stage, rows: Sequence[Row], operator: OperatorProcess) -> None:
        """Reads the operator's figures until they are those of the jobs: it raises them after the deed."""
        deadline = time.monotonic() + LIMIT
        while True:
            wanted = figures_wanted(rows, [stage.scene(row) for row in rows])
            found = figures_of(operator.get("/metrics"), stage.namespace)
            self.figures[stage.namespace] = wanted, found
            if found == wanted or time.monotonic() > deadline:
                return
            await asyncio.sleep(0.1)


def figures_of(metrics: str, namespace: str) -> dict[str, int]:
    """The original's names and labels."""
    label = re.escape(f'{{framework="tensorflow",job_namespace="{namespace}"}}')
    found = {
        outcome: re.search(rf"^training_operator_jobs_{outcome}_total{label} (\S+)$", metrics, re.M)
        for outcome in OUTCOMES
    }
    return {outcome: int(float(match[1])) if match else 0 for outcome, match in found.items()}


def figures_wanted(rows: Sequence[Row], scenes: Sequence[Scene]) -> dict[str, int]:
    """As many as there were: of jobs that are there, by their states, and of those that are gone, by their rows."""
    states = [scene.state for scene in scenes]
    names = {row.name for row in rows}
    restarts = [memory.get("restarts", 0) for s in scenes for memory in s.status.get("tasks", {}).values()]
    return {
        "created": len(names - {"managed-by-kueue"}),
        "deleted": len([row for row in rows if row.gone]),
        "successful": states.count("Succeeded") + len(names & {"ttl"}),
        "failed": states.count("Failed") + len(names & {"ttl-0"}),
        # The restart that would have gone past the backoff limit was not made.
        "restarted": sum(restarts) - len(names & {"backoff-limit"}),
    }
