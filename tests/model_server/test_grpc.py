"""The gRPC API, called with TF Serving's own stubs."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.fixtures.ports import free_ports
from tests.model_server.conftest import Serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEC = ["m", 1, "two"]
ANSWERS = {
    "two inputs": {"spec": SPEC, "outputs": {"sum": [3.0, 7.0], "twice": [10, 12]}},
    "one output": {"spec": SPEC, "outputs": {"twice": [10, 12]}},
    "its version": {"spec": ["m", 1, "upper"], "outputs": {"out": ["AB", "\xff"]}},
    "bytes": ["\x00\xff"],
    "half and bfloat16": {"brain": [0.5], "half": [0.5]},
    "one value for a shape": [4.0, 4.0],
    "no rows": {"out": []},
    "800,000 bytes": [800_000, True],
    "classify": [[["CAR", 0.3], ["BIKE", 0.4]], [["BUS", 0.3], ["TRAM", 0.4]]],
    "regress": [1, [3.5, 2.0]],
    "regress with a context": [1, [3.0, 4.0]],
    "metadata": [1, ["k", "x"], "tensorflow/serving/predict"],
    "status": [[1, "AVAILABLE", 0]],
    "status of a version": [[1, "AVAILABLE", 0]],
    "health": 1,
    "watched health": 1,
}
ERRORS = {
    "too large": ("RESOURCE_EXHAUSTED", "larger than max"),
    "a huge shape": ("RESOURCE_EXHAUSTED", "input x: the shape [1000000000, 2] has more than 1048576 bytes"),
    "a negative size": ("INVALID_ARGUMENT", "input x: its shape must be known, and is [-1, 2]"),
    "no such model": ("NOT_FOUND", "Servable not found for request: Latest(other)"),
    "no such version": ("NOT_FOUND", "Servable not found for request: Specific(m, 7)"),
    "a label": ("INVALID_ARGUMENT", "Unrecognized servable version label: stable"),
    "no model": ("INVALID_ARGUMENT", "Missing ModelSpec"),
    "no such signature": ("FAILED_PRECONDITION", 'Serving signature key "three" not found.'),
    "an input too few": ("INVALID_ARGUMENT", "input size does not match signature: 1!=2 len({x}) != len({k,x})."),
    "a wrong input": ("INVALID_ARGUMENT", "input tensor alias not found in signature: z."),
    "a wrong type": ("INVALID_ARGUMENT", "input x: expects float32 but int32 is provided"),
    "a wrong shape": ("INVALID_ARGUMENT", "Input matrix must be square."),
    "no such output": ("INVALID_ARGUMENT", "output tensor alias not found in signature: thrice"),
    "no examples": ("INVALID_ARGUMENT", "Input is empty."),
    "an example without its feature": ("INVALID_ARGUMENT", "Feature: x (data type: float) is required"),
    "a signature that cannot classify": ("INVALID_ARGUMENT", "Expected one input Tensor."),
    "no metadata field": ("INVALID_ARGUMENT", "must specify at least one metadata_field"),
    "another metadata field": ("INVALID_ARGUMENT", "Metadata field weights is not supported"),
    "metadata of another model": ("NOT_FOUND", "Servable not found for request: Latest(other)"),
    "status of no version": ("NOT_FOUND", "Could not find version 7 of model m"),
    "status of another model": ("NOT_FOUND", "Could not find any versions of model other"),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def answers(serve: Serve, models: Path, python: Path) -> AsyncIterator[dict[str, Any]]:
    """What the calls of grpc_calls.py gave, by name."""
    (port,) = free_ports(1)
    async with serve(models / "kinds", "--max-body-mib", "1", "--port", str(port)) as server:
        await server.available(1)
        client = await asyncio.create_subprocess_exec(
            python,
            Path(__file__).with_name("grpc_calls.py"),
            f"127.0.0.1:{port}",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(client.communicate(), 240)
        assert client.returncode == 0, err.decode()
        async with aiohttp.ClientSession() as http:
            answer = await http.get(server.url.partition("/v1/")[0] + "/monitoring/prometheus/metrics")
            figures = await answer.text()
        yield {**json.loads(out), "figures": figures}
        assert "Traceback" not in server.log.read_text()


async def test_calls_count_in_the_figures(answers: dict[str, Any]) -> None:
    assert ':tensorflow:serving:request_count{model_name="m",status="FAILED_PRECONDITION"} 1.0' in answers["figures"]
    regressed = ':tensorflow:serving:request_latency_count{API="Regress",entrypoint="GRPC",model_name="m"} 2.0'
    assert regressed in answers["figures"]


@pytest.mark.parametrize("call", ANSWERS)
async def test_an_answer(answers: dict[str, Any], call: str) -> None:
    assert answers[call] == ANSWERS[call]


@pytest.mark.parametrize("call", ERRORS)
async def test_an_error_in_tf_servings_words(answers: dict[str, Any], call: str) -> None:
    code, words = answers[call]
    assert code == ERRORS[call][0]
    assert ERRORS[call][1] in words
