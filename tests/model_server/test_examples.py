"""A classify or regress request's JSON, and its answer's, as TF Serving's json_tensor_test.cc and classifier.cc say.

A row names its source. The checks need no TensorFlow: test_predict.py has those that do.
"""

import json
import math
from typing import Any

import numpy as np
import pytest

from kf_spawner.model_server.answers import to_json
from kf_spawner.model_server.errors import ServingError
from kf_spawner.model_server.examples import read
from kf_spawner.model_server.results import check_outputs

ERRORS: list[tuple[str, Any, str]] = [
    ("JsonErrors", {"signature_name": ["hello"], "examples": [{}]}, "'signature_name' key must be a string"),
    ("JsonErrors", {"context": [{"names": ["foo"]}]}, "Example must be JSON object but got JSON Array"),
    ("JsonErrors", {"examples": {"names": ["foo"]}}, "list/array"),
    ("JsonErrors", {"examples": [[{"names": ["foo"]}]]}, "Example must be JSON object"),
    ("JsonErrors", {"examples": [{"names": [10, None]}]}, "names has element with unexpected JSON type: Null"),
    ("JsonErrors", {"examples": [{"names": [10, 10.0]}]}, "feature: names expecting type: int64"),
    (
        "JsonErrors",
        {"examples": [{"names": [10, {"test": 10}]}]},
        "names has element with unexpected JSON type: Object",
    ),
    ("JsonErrors", {"examples": [{"names": [[10], 20]}]}, "names has element with unexpected JSON type: Array"),
    ("JsonErrors", {"examples": [{"names": [20, 18446744073709551603]}]}, "Only int64_t is supported"),
    ("FillClassifyRegressRequestFromJson", {}, "key 'examples' is expected and was not found"),
    ("FillClassifyRegressRequestFromJson", {"examples": []}, "'examples' value is an empty array"),
    ("JsonDecodeBase64Object", {"examples": [{"names": {"b64": "!"}}]}, "Unable to base64 decode"),
]

ANSWERS: list[tuple[str, str, dict[str, Any], str]] = [
    (
        "JsonFromClassificationResult",
        "classify",
        {"classes": np.array([[b"car", b"bus"]], dtype=object), "scores": np.float32([[0.2, 0.7]])},
        '{"results": [[["car", 0.2], ["bus", 0.7]]]}',
    ),
    ("api_rest.md, no label", "classify", {"scores": np.float32([[0.2]])}, '{"results": [[["", 0.2]]]}'),
    ("classifier.cc, no score", "classify", {"classes": np.array([[b"a"]])}, '{"results": [[["a", 0.0]]]}'),
    ("JsonFromRegressionResult", "regress", {"outputs": np.float32([[0.2], [1]])}, '{"results": [0.2, 1.0]}'),
    (
        "JsonFromRegressionResultWithNonFinite",
        "regress",
        {"outputs": np.float32([math.inf, -math.inf, math.nan])},
        '{"results": [Infinity, -Infinity, NaN]}',
    ),
]

OUTPUTS: list[tuple[str, str, dict[str, Any], str]] = [
    ("regressor.cc", "regress", {"outputs": np.zeros((2, 2), np.float32)}, "[batch_size, 1] but got [2,2]"),
    ("regressor.cc", "regress", {"outputs": np.zeros(3, np.float32)}, "did not match output batch size: 2 vs. 3"),
    ("regressor.cc", "regress", {"outputs": np.zeros(2)}, "Expected output Tensor of DT_FLOAT."),
    ("classifier.cc", "classify", {"scores": np.zeros(2, np.float32)}, "[batch_size num_classes] but got [2]"),
    ("classifier.cc", "classify", {"scores": np.zeros((2, 1))}, "Expected scores Tensor of DT_FLOAT. Got: float64"),
    ("classifier.cc", "classify", {"classes": np.zeros((2, 1))}, "Expected classes Tensor of DT_STRING."),
    (
        "classifier.cc",
        "classify",
        {"classes": np.full((1, 1), b"")},
        "Expected classes output batch size of 2. Got: 1",
    ),
    (
        "classifier.cc",
        "classify",
        {"classes": np.full((2, 1), b""), "scores": np.zeros((2, 3), np.float32)},
        "should match in dim_size(1). Got 1 vs. 3",
    ),
]


def test_features_have_the_kind_of_their_first_element() -> None:
    context = {"all": True}
    example = {"f": [1.0, math.nan], "i": -1, "b": ["a", {"b64": "/w=="}], "none": []}
    request = read(json.dumps({"signature_name": "s", "context": context, "examples": [example, {}]}).encode())
    assert (request.signature_name, request.context) == ("s", {"all": ("int64_list", [True])})
    first, second = request.examples
    assert second == {}
    assert math.isnan(first.pop("f")[1][1])
    assert first == {"i": ("int64_list", [-1]), "b": ("bytes_list", [b"a", b"\xff"]), "none": ("", [])}


@pytest.mark.parametrize(("body", "words"), [row[1:] for row in ERRORS])
def test_what_is_refused_in_tf_servings_words(body: Any, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(json.dumps(body).encode())
    assert (caught.value.http_status, words in caught.value.message) == (400, True), caught.value.message


@pytest.mark.parametrize(("verb", "outputs", "answer"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_how_results_are_written(verb: str, outputs: dict[str, Any], answer: str) -> None:
    check_outputs(verb, outputs, len(next(iter(outputs.values()))))
    assert to_json(outputs, verb).decode() == answer


@pytest.mark.parametrize(("verb", "outputs", "words"), [row[1:] for row in OUTPUTS])
def test_outputs_that_are_no_results_are_refused(verb: str, outputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ServingError) as caught:
        check_outputs(verb, outputs, 2)
    assert words in caught.value.message
