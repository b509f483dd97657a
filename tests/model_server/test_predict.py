"""Predictions, metadata and status of real models over HTTP, in TF Serving's shapes."""

import asyncio
import base64
import gzip
import json
import math
import zlib
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from tests.model_server.conftest import Serve, Server
from tests.model_server.fuzzed_bodies import fuzzed, send

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kinds(serve: Serve, models: Path) -> AsyncIterator[Server]:
    async with serve(models / "kinds", "--max-body-mib", "1") as server:
        await server.available(1)
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(serve: Serve, models: Path) -> AsyncIterator[Server]:
    """A server that waits for nothing longer than 3 s: too short for a test that is not about it."""
    async with serve(models / "kinds", "--request_timeout=3", "--enable_batching=false") as server:
        await server.available(1)
        yield server


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


async def ok(server: Server, signature: str, **body: Any) -> Any:
    status, answer = await server.predict({"signature_name": signature, **body})
    assert status == 200, answer
    (value,) = answer.values()
    return value


async def refused(server: Server, body: Any, path: str = ":predict") -> tuple[int, str]:
    status, answer = await server.predict(body, path)
    assert list(answer) == ["error"]
    return status, answer["error"]


async def test_status_in_tf_servings_shape(kinds: Server) -> None:
    expected = {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert await kinds.get("") == (200, expected)
    assert await kinds.get("/versions/1") == (200, expected)
    assert (await kinds.get("/versions/2"))[0] == 404


async def test_metadata_in_tf_servings_shape(kinds: Server) -> None:
    status, answer = await kinds.get("/metadata")
    assert status == 200
    assert answer["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    two = answer["metadata"]["signature_def"]["signature_def"]["two"]
    assert two["method_name"] == "tensorflow/serving/predict"
    assert two["inputs"]["x"]["dtype"] == "DT_FLOAT"
    dims = [{"size": "-1", "name": ""}, {"size": "2", "name": ""}]
    assert two["inputs"]["x"]["tensor_shape"] == {"dim": dims, "unknown_rank": False}
    assert two["inputs"]["x"]["name"].endswith(":0")


async def test_rows_and_columns_of_several_inputs(kinds: Server) -> None:
    rows = [{"x": [1, 2.5], "k": 7}, {"x": [0, -1], "k": -8}]
    expected = [{"sum": 3.5, "twice": 14}, {"sum": -1.0, "twice": -16}]
    assert await ok(kinds, "two", instances=rows) == expected
    columns = {"x": [[1, 2.5], [0, -1]], "k": [7, -8]}
    assert await ok(kinds, "two", inputs=columns) == {"sum": [3.5, -1.0], "twice": [14, -16]}


async def test_the_name_of_an_only_input_may_be_left_out(kinds: Server) -> None:
    assert await ok(kinds, "upper", instances=["a", "b"]) == ["A", "B"]
    assert await ok(kinds, "upper", instances=[{"s": "a"}, {"s": "b"}]) == ["A", "B"]
    assert await ok(kinds, "upper", inputs=["a", "b"]) == ["A", "B"]
    assert await ok(kinds, "upper", inputs={"s": ["a", "b"]}) == ["A", "B"]


async def test_binary_strings_in_and_out(kinds: Server) -> None:
    data = bytes(range(128)) + b"text"
    answer = await ok(kinds, "binary", instances=[b64(data), "text"])
    assert answer[0]["length"] == 132
    assert answer[0]["image_bytes"] == b64(data)
    assert answer[0]["text"] == data.decode()
    assert answer[1] == {"length": 4, "image_bytes": b64(b"text"), "text": "text"}
    status, message = await refused(kinds, {"signature_name": "binary", "instances": [b64(b"\xff")]})
    assert status == 400
    assert "_bytes" in message


async def test_any_rank_scalars_and_booleans(kinds: Server) -> None:
    assert await ok(kinds, "negate", inputs=True) is False
    assert await ok(kinds, "negate", inputs=[[True], [False]]) == [[False], [True]]
    assert await ok(kinds, "scalar", inputs=2) == 3.0
    assert await ok(kinds, "upper", inputs=[]) == []


async def test_a_model_may_take_other_shapes_than_its_signature_says(kinds: Server) -> None:
    assert await ok(kinds, "scalar", instances=[1.0, 2.0, 5.0]) == [2.0, 3.0, 6.0]  # the shape is []
    assert await ok(kinds, "two", inputs={"x": [[1, 2, 3]], "k": [1, 2]}) == {"sum": [6.0], "twice": [2, 4]}


async def test_sparse_and_ragged_outputs_come_by_their_parts(kinds: Server) -> None:
    assert await ok(kinds, "sparse", inputs=[[0, 1.5, 0], [0, 0, 2]]) == {
        "y.values": [1.5, 2.0],
        "y.indices": [[0, 1], [1, 2]],
        "y.dense_shape": [2, 3],
    }
    assert await ok(kinds, "ragged", inputs=["to be", "or"]) == {
        "words.values": ["to", "be", "or"],
        "words.row_splits": [0, 2, 3],
        "letters.values": list("tobeor"),
        "letters.row_splits.0": [0, 2, 3],
        "letters.row_splits.1": [0, 2, 4, 6],
    }
    status, message = await refused(kinds, {"signature_name": "sparse", "instances": [[0, 1, 0]]})
    assert (status, "column format" in message) == (400, True)


async def test_classify_and_regress_take_examples(kinds: Server) -> None:
    body: dict[str, Any] = {"signature_name": "regress", "examples": [{"x": 1.0}, {"x": [2.0], "add": 1}]}
    assert await kinds.predict(body, ":regress") == (200, {"results": [3.5, 2.0]})
    body["context"] = {"add": 2}
    assert await kinds.predict(body, ":regress") == (200, {"results": [2.5, 2.0]})  # the example's own wins
    body = {"signature_name": "classify", "examples": [{"words": ["car", {"b64": "YmlrZQ=="}]}]}
    assert await kinds.predict(body, ":classify") == (200, {"results": [[["CAR", 0.3], ["BIKE", 0.4]]]})
    body = {"signature_name": "scores", "examples": [{}, {}]}
    assert await kinds.predict(body, "/versions/1:classify") == (200, {"results": [[["", 0.0]], [["", 0.0]]]})
    words = ["x" * 50, "y"]
    body = {"signature_name": "classify", "examples": [{"words": words}] * 10_000}
    status, answer = await kinds.predict(body, ":classify")  # large: by the second process
    assert (status, len(answer["results"])) == (200, 10_000), answer


@pytest.mark.parametrize(
    ("verb", "body", "says"),
    [
        ("regress", {"examples": [{}]}, "No signature was found with the name: serving_default"),
        ("regress", {"signature_name": "two", "examples": [{}]}, "Expected one input Tensor."),
        ("regress", {"signature_name": "upper", "examples": [{}]}, "No regression inputs found in SignatureDef"),
        ("regress", {"signature_name": "classify", "examples": [{}]}, "Expected one output Tensor."),
        ("classify", {"signature_name": "regress", "examples": [{}]}, 'at least one of "classes" or "scores"'),
        ("regress", {"signature_name": "regress", "examples": [{"x": 1}]}, "Data types don't match"),
        ("regress", {"signature_name": "regress", "examples": [{}]}, "Feature: x (data type: float) is required"),
        ("classify", {"signature_name": "classify"}, "key 'examples' is expected and was not found"),
    ],
)
async def test_what_is_no_example_is_refused(kinds: Server, verb: str, body: Any, says: str) -> None:
    status, message = await refused(kinds, body, f":{verb}")
    assert (status, says in message) == (400, True), message


async def test_numbers_come_back_as_short_as_they_are(kinds: Server) -> None:
    async with aiohttp.ClientSession() as http:
        body = {"signature_name": "two", "inputs": {"x": [[0.2, 0.0], [1e10, 0], [1, 0]], "k": [1, 2, 3]}}
        async with http.post(f"{kinds.url}:predict", json=body) as answer:
            assert '"sum":[0.2,10000000000.0,1.0]' in await answer.text()
    assert await ok(kinds, "wide", instances=[0.1, 1e300]) == [0.1, 1e300]
    answer = await ok(kinds, "narrow", inputs=[0.1, 2])
    assert answer["half"] == [0.1, 2.0]
    assert answer["brain"] == [0.1, 2.0] or math.isclose(answer["brain"][0], 0.1, rel_tol=0.01)


async def test_not_a_number_and_infinity_are_words(kinds: Server) -> None:
    status, answer = await kinds.predict(b'{"signature_name": "wide", "instances": [NaN, Infinity, -Infinity]}')
    assert status == 200
    assert math.isnan(answer["predictions"][0])
    assert answer["predictions"][1:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, "empty"),
        (b"\xff\xfe{}", 400, "JSON Parse error"),
        (b"[" * 100_000, 400, "JSON Parse error"),
        ([1], 400, "not object"),
        ({"signature_name": "upper"}, 400, "Missing 'inputs' or 'instances'"),
        ({"signature_name": "upper", "instances": 1}, 400, "list"),
        ({"signature_name": "upper", "instances": []}, 400, "No values"),
        ({"signature_name": "nope", "instances": [1]}, 400, 'Serving signature name: "nope" not found'),
        ({"instances": [1]}, 400, 'Serving signature name: "serving_default" not found'),
        ({"signature_name": "two", "instances": [1]}, 400, "k, x"),
        ({"signature_name": "two", "inputs": [1]}, 400, "k, x"),
        ({"signature_name": "two", "inputs": {"x": [[1, 2]]}}, 400, "Missing named input: k"),
        ({"signature_name": "two", "inputs": {"x": [1, 2], "k": [1]}}, 400, "Invalid reduction dimension"),
        ({"signature_name": "uneven", "instances": [1, 2]}, 400, "column format"),
        ({"signature_name": "inverse", "inputs": [[0, 0], [0, 0]]}, 400, "not invertible"),
        ({"signature_name": "inverse", "inputs": [[1, 2, 3]]}, 400, "Input matrix must be square"),
        ({"signature_name": "complex", "instances": [1]}, 501, "complex64"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_the_cause(
    kinds: Server, body: Any, status: int, says: str
) -> None:
    code, message = await refused(kinds, body)
    assert (code, says in message) == (status, True), message


async def test_paths_and_methods(kinds: Server) -> None:
    url, kinds_url = kinds.url.rsplit("/", 1)[0], kinds.url
    kinds.url = url
    try:
        assert (await kinds.get("/other"))[0] == 404
        assert (await kinds.get("/other/metadata"))[0] == 404
        assert await refused(kinds, {}, "/other:predict") == (404, "Servable not found for request: Latest(other)")
    finally:
        kinds.url = kinds_url
    assert (await refused(kinds, {"instances": [1]}, "/versions/2:predict"))[0] == 404
    assert (await refused(kinds, {"signature_name": "upper", "instances": [1]}, "/versions/1:predict"))[0] == 400
    assert (await kinds.get(":predict"))[0] == 405
    assert (await kinds.predict({}, ""))[0] == 405
    assert (await kinds.get(":explain"))[0] == 400
    assert (await kinds.get("/versions/x"))[0] == 400


async def test_paths_of_health_and_of_the_older_proxy(kinds: Server) -> None:
    async with aiohttp.ClientSession() as http:

        async def get(path: str, method: str = "GET", **sent: Any) -> tuple[int, Any]:
            async with http.request(method, kinds.url.partition("/v1/")[0] + path, **sent) as answer:
                return answer.status, await answer.json()

        for path in ("/", "/healthz", "/v2/health/live"):
            assert await get(path) == (200, {"status": "alive"})
        assert await get("/v2/health/ready") == (200, {"ready": True})
        body = {"signature_name": "upper", "instances": ["a"]}
        assert await get("/model/m:predict", "POST", json=body) == (200, {"predictions": ["A"]})
        assert (await get("/model/other:predict", "POST", json=body))[0] == 404
        assert (await get("/v2/models/m"))[0] == 404


async def test_figures_by_tf_servings_names(kinds: Server) -> None:
    async def figures() -> dict[str, float]:
        url = kinds.url.partition("/v1/")[0] + "/monitoring/prometheus/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        samples = [sample for family in families for sample in family.samples]
        return {f"{each.name} {sorted(each.labels.items())}": each.value for each in samples}

    counted = ":tensorflow:serving:request_count [('model_name', 'm'), ('status', '%s')]"
    took = ":tensorflow:serving:request_latency_%s [('API', 'predict'), ('entrypoint', 'REST'), ('model_name', 'm')]"
    await ok(kinds, "upper", instances=["a"])
    await refused(kinds, {})
    before = await figures()
    await ok(kinds, "upper", instances=["a"])
    await refused(kinds, {})
    bomb, headers = gzip.compress(bytes(2**21)), {"Content-Encoding": "gzip"}
    assert (await kinds.request("POST", ":predict", data=bomb, headers=headers))[0] == 413
    after = await figures()
    for name, more in ((counted % "OK", 1), (counted % "INVALID_ARGUMENT", 2), (took % "count", 1)):
        assert after[name] == before[name] + more
    assert after[took % "sum"] > before[took % "sum"]
    assert after["kf_model_server_requests []"] == 0


async def test_a_body_over_the_limit_is_413(kinds: Server) -> None:
    body = json.dumps({"signature_name": "upper", "instances": ["x" * 2**20]}).encode()
    assert (await refused(kinds, body))[0] == 413

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 2**16

    assert (await kinds.request("POST", ":predict", data=chunks()))[0] == 413
    assert await ok(kinds, "upper", instances=["still there"]) == ["STILL THERE"]


async def test_a_body_that_is_not_what_it_says_leaves_its_connection_usable(kinds: Server) -> None:
    body = b'{"signature_name": "upper", "instances": ["a"]}'
    connections: list[object] = []

    async def made(*each: object) -> None:
        connections.append(each)

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(made)
    async with aiohttp.ClientSession(trace_configs=[trace]) as http:
        for sent, encoding, status in (
            (body, "gzip", 400),
            (gzip.compress(body), "gzip", 200),
            (gzip.compress(body)[:-3], "gzip", 400),
            (b" " * 100_000, "zstd", 400),
            (zlib.compress(body), "deflate", 200),
        ):
            assert await send(http, kinds.url, sent, {"Content-Encoding": encoding}) == status
        assert len(connections) == 1
        bomb, headers = gzip.compress(bytes(2**25)), {"Content-Encoding": "gzip"}
        async with http.post(f"{kinds.url}:predict", data=bomb, headers=headers) as answer:
            assert (answer.status, answer.headers["Connection"]) == (413, "close")


async def test_fuzzed_bodies(kinds: Server) -> None:
    async with aiohttp.ClientSession() as http:
        statuses = [await send(http, kinds.url, *each) for each in islice(fuzzed(seed=7), 100)]
    assert set(statuses) == {200, 400}
    assert "Traceback" not in kinds.log.read_text()


async def test_a_large_body_and_answer_go_through_a_second_process(kinds: Server) -> None:
    numbers = [number / 7 for number in range(40_000)]
    assert await ok(kinds, "wide", inputs=numbers) == numbers
    status, message = await refused(kinds, {"signature_name": "wide", "inputs": [*numbers, "x"]})
    assert (status, "Failed to process input 'x'" in message) == (400, True)
    threads = Path(f"/proc/{kinds.child.pid}/task").glob("*/children")
    assert any(each.read_text().split() for each in threads)


async def test_a_prediction_over_time_is_504_and_does_not_block_others(hasty: Server) -> None:
    slow = asyncio.create_task(refused(hasty, {"signature_name": "slow", "instances": [10**12]}))
    meanwhile = 0
    while not slow.done():
        meanwhile += await hasty.predict({"signature_name": "upper", "instances": ["a"]}) == (
            200,
            {"predictions": ["A"]},
        )
        await asyncio.sleep(0.1)
    status, message = await slow
    assert status == 504, message
    assert meanwhile >= 3


async def test_many_at_once(kinds: Server) -> None:
    answers = await asyncio.gather(*(ok(kinds, "scalar", inputs=n) for n in range(60)))
    assert answers == [n + 1.0 for n in range(60)]


async def test_a_warm_up_does_not_change_a_model(kinds: Server) -> None:
    assert await ok(kinds, "count", inputs={}) == 1


async def test_a_keras_model_and_one_with_a_table_and_warm_up_requests(serve: Serve, models: Path) -> None:
    async with serve(models / "keras") as keras, serve(models / "lookup") as lookup:
        await keras.available(1)
        status, answer = await keras.predict({"instances": [[1, 2, 3, 4], [0, 0, 0, 0]]})
        assert status == 200
        assert [math.isclose(sum(row), 1, rel_tol=1e-5) for row in answer["predictions"]] == [True, True]
        await lookup.available(1)
        assert await lookup.predict({"instances": ["two", "none"]}) == (200, {"predictions": [2, -1]})
        # Warmed up by two empty texts, by an empty example, and by one with a context of 14 bytes.
        seen = 2 + 1 + (1 + 14)
        assert await lookup.predict({"signature_name": "count", "instances": [""]}) == (
            200,
            {"predictions": [seen + 1]},
        )
        assert "there is no signature nope" in lookup.log.read_text()
