"""What the operator reports to administrators: health, metrics, log lines."""

import asyncio
import json
import logging
import re

import pytest
from aiohttp import ClientSession

from kf_spawner.operator.logs import JSONFormatter
from kf_spawner.operator.metrics import Metrics
from kf_spawner.operator.web import WebServer
from tests.tfjob.builders import job

OWN = "kf_spawner_operator_"
SERIES = {
    *(f"training_operator_jobs_{outcome}_total" for outcome in ("created", "successful", "failed", "restarted")),
    *(OWN + name for name in ("jobs", "queue_depth", "leader", "reconcile_errors_total", "api_requests_total")),
    *(OWN + f"{name}_seconds_{part}" for name in ("queue", "reconcile") for part in ("bucket", "count", "sum")),
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
}


def figures(text: str) -> dict[str, float]:
    """By name with labels."""
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in text.splitlines() if line[0] != "#"}


async def test_figures_of_a_job_s_life(namespace, operator_process):
    await namespace.create(job(Worker=2, restart="ExitCode"))
    pods = await namespace.until_pods("mnist-worker-0", "mnist-worker-1")
    await namespace.until_state("Created")
    await namespace.put("mnist-worker-1", "Failed", code=137)
    await namespace.until_recreated(pods["mnist-worker-1"])
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    await namespace.until_state("Succeeded")
    await namespace.create(job("other", Worker=1))
    await namespace.until_pods("mnist-worker-0", "mnist-worker-1", "other-worker-0")
    await namespace.until_state("Created", "other")
    await namespace.put("other-worker-0", "Failed", code=1)
    await namespace.until_state("Failed", "other")

    labels = f'{{framework="tensorflow",job_namespace="{namespace.name}"}}'
    exactly = {OWN + "leader": 1, OWN + "queue_depth": 0}
    exactly |= {f"training_operator_jobs_{name}_total{labels}": n for name, n in (("created", 2), ("restarted", 1))}
    requests = OWN + 'api_requests_total{{code="{}",method="{}"}}'
    # Pods, services and events; statuses; the pod that had failed; jobs, pods and services.
    at_least = {requests.format(201, "POST"): 8, requests.format(200, "PUT"): 5}
    at_least |= {requests.format(200, "DELETE"): 1, requests.format(200, "WATCH"): 3}
    at_least |= {OWN + "jobs": 2, OWN + "reconcile_seconds_count": 5}

    async def as_they_should_be():
        """Figures are raised after the deed, and events are written later still."""
        found = figures(operator_process.get("/metrics"))
        enough = all(found.get(name, 0) >= number for name, number in at_least.items())
        return found if exactly.items() <= found.items() and enough else None

    found = await namespace.until(as_they_should_be)
    assert {name.partition("{")[0] for name in found} >= SERIES
    assert found[OWN + "queue_seconds_count"] >= found[OWN + "reconcile_seconds_count"]


async def test_every_log_line_is_json_and_names_its_job(namespace, operator_process):
    await namespace.create(job(Worker=1))
    await namespace.until_pods("mnist-worker-0")
    await namespace.put("mnist-worker-0", "Failed", code=1)
    await namespace.until_state("Failed")
    assert await asyncio.to_thread(operator_process.stop) == 0
    lines = [json.loads(line) for line in operator_process.log.read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    about = [line for line in lines if line.get("job") == f"{namespace.name}/mnist"]
    assert any(line["message"].startswith("TFJobFailed: ") for line in about)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"]) for line in lines)


def test_an_exception_is_one_line():
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "it %s", ("broke",), info)
    record.job = "ns/mnist"
    text = JSONFormatter().format(record)
    assert "\n" not in text
    told = json.loads(text)
    assert (told["level"], told["message"], told["job"]) == ("error", "it broke", "ns/mnist")
    assert told["exception"].endswith("ValueError: two\nlines")


@pytest.mark.parametrize(("why", "status", "text"), [("it waits", 503, "it waits\n"), ("", 200, "ok\n")])
async def test_readiness(why, status, text):
    server = WebServer("127.0.0.1", 0, metrics=Metrics(), why_unready=lambda: why)
    async with server, ClientSession("http://{}:{}".format(*server.address)) as http:
        async with http.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (status, text)
        async with http.get("/healthz") as answer:
            assert answer.status == 200
