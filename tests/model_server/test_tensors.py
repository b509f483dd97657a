"""A predict request's JSON -> arrays, as TF Serving's documentation (api_rest.md) and its json_tensor_test.cc say.

A row names the source's section or test. The checks need no TensorFlow: test_predict.py has those that do.
"""

import base64
import json
import math
from typing import Any

import numpy as np
import pytest

from kf_spawner.model_server.answers import to_json
from kf_spawner.model_server.errors import ServingError
from kf_spawner.model_server.tensors import read

HUGE = 1.7976931348623157e308
TINY = 2.2250738585072014e-308
TWO_IMAGES = [{"b64": base64.b64encode(word).decode()} for word in (b"hello", b"world")]

TAKEN: list[tuple[str, dict[str, str], dict[str, Any], dict[str, Any]]] = [
    ("SingleUnnamedTensor", {"x": "int32"}, {"instances": [[1, 2], [3, 4], [5, 6]]}, {"x": [[1, 2], [3, 4], [5, 6]]}),
    ("MixedInputForFloatTensor", {"x": "float32"}, {"instances": [1, 2.0, 5.003, 0.0]}, {"x": [1, 2, 5.003, 0]}),
    ("MixedInputForDoubleTensor", {"x": "float64"}, {"instances": [1.0, 2, 0.662]}, {"x": [1, 2, 0.662]}),
    ("FloatTensorWithPrecisionLoss", {"x": "float32"}, {"instances": [1435774380]}, {"x": [1435774336]}),
    ("FloatTensorWithPrecisionLoss .0", {"x": "float32"}, {"instances": [1435774380.0]}, {"x": [1435774336]}),
    ("Floating Point Precision", {"x": "float64"}, {"instances": [1435774380]}, {"x": [1435774380]}),
    ("FloatTensorThatExceedsMaxReturnsInf", {"x": "float32"}, {"instances": [HUGE]}, {"x": [math.inf]}),
    ("FloatTensorThatExceedsMaxReturnsInf -", {"x": "float32"}, {"instances": [-HUGE]}, {"x": [-math.inf]}),
    ("FloatTensorThatExceedsMinReturnsZero", {"x": "float32"}, {"instances": [TINY]}, {"x": [0]}),
    ("FloatTensorThatExceedsMinReturnsZero -", {"x": "float32"}, {"instances": [-TINY]}, {"x": [-0.0]}),
    ("SingleUnnamedTensorWithSignature", {"x": "int32"}, {"instances": [[1, 2]]}, {"x": [[1, 2]]}),
    ("SingleUnnamedTensorBase64Scalars", {"x": "string"}, {"instances": TWO_IMAGES}, {"x": [b"hello", b"world"]}),
    (
        "SingleUnnamedTensorBase64Lists",
        {"x": "string"},
        {"instances": [[each] for each in TWO_IMAGES]},
        {"x": [[b"hello"], [b"world"]]},
    ),
    (
        "SingleNamedTensorBase64",
        {"x": "string"},
        {"instances": [{"x": [[each] for each in TWO_IMAGES]}]},
        {"x": [[[b"hello"], [b"world"]]]},
    ),
    (
        "MultipleNamedTensor",
        {"i": "int32", "s": "string", "f": "float32", "d": "float64"},
        {
            "instances": [
                {"i": [[1, 2], [3, 4]], "s": ["foo", "bar"], "f": [1.0, math.nan], "d": [math.nan]},
                {"i": [[7, 8], [9, 0]], "s": ["baz", "bat"], "f": [2.0, math.inf], "d": [2.0]},
            ]
        },
        {
            "i": [[[1, 2], [3, 4]], [[7, 8], [9, 0]]],
            "s": [[b"foo", b"bar"], [b"baz", b"bat"]],
            "f": [[1, math.nan], [2, math.inf]],
            "d": [[math.nan], [2]],
        },
    ),
    ("SingleUnnamedTensorColumnarFormat", {"x": "int32"}, {"inputs": {"x": [[[1, 2]]]}}, {"x": [[[1, 2]]]}),
    ("SingleUnnamedTensorColumnarFormat, no name", {"x": "int32"}, {"inputs": [[[1, 2]]]}, {"x": [[[1, 2]]]}),
    (
        "MultipleNamedTensorColumnarFormat",
        {"i": "int32", "s": "string", "b": "string"},
        {"inputs": {"i": [[1, 2]], "s": ["foo", "bar"], "b": TWO_IMAGES[0]}},
        {"i": [[1, 2]], "s": [b"foo", b"bar"], "b": b"hello"},
    ),
    ("Encoding binary values, unpadded", {"x": "string"}, {"instances": [{"b64": "aGVsbG8"}]}, {"x": [b"hello"]}),
    ("JSON mapping", {"x": "bool"}, {"instances": [True, False]}, {"x": [True, False]}),
    ("JSON mapping, uint64", {"x": "uint64"}, {"instances": [2**64 - 1]}, {"x": [2**64 - 1]}),
    ("an empty list", {"x": "float32"}, {"inputs": [[], []]}, {"x": [[], []]}),
]

REFUSED: list[tuple[str, dict[str, str], Any, str]] = [
    ("SingleUnnamedTensorErrors", {"x": "int32"}, b"", "document is empty"),
    ("HandleErrors", {"x": "int32"}, b'{"instances": [abc]}', "JSON Parse error: Invalid value."),
    ("SingleUnnamedTensorErrors", {"x": "int32"}, {"signature_name": 5}, "must be a string value"),
    ("SingleUnnamedTensorErrors", {"x": "int32"}, {"instances": [1], "inputs": [1]}, "Not formatted correctly"),
    (
        "SingleUnnamedTensorErrors",
        {"x": "int32"},
        {"instances": [[1, 2], [3, 4], [5, 6, 7]]},
        "Failed to process element: 2 of 'instances' list. Error: INVALID_ARGUMENT: "
        "Expecting tensor size: 2 but got: 3",
    ),
    (
        "SingleUnnamedTensorErrors",
        {"x": "int32"},
        {"instances": [[1, 2], [3, 4], [[5, 6]]]},
        "Expecting shape [2] but got: [1,2]",
    ),
    ("SingleUnnamedTensorErrors", {"x": "int32"}, {"instances": [1, [1]]}, "Expecting shape [] but got: [1]"),
    ("SingleUnnamedTensorErrors", {"x": "int32"}, {"instances": [[1, 2], ["a", "b"]]}, "not of expected type: int32"),
    ("HandleErrors", {"x": "float32"}, {"instances": [1, "a"]}, '"a" Type: String is not of expected type: float'),
    ("MultipleNamedTensorErrors", {"i": "int32"}, {"instances": [{"i": [1]}, {"i": [[1]]}]}, "Expecting shape"),
    (
        "MultipleNamedTensorErrors",
        {"i": "int32"},
        {"instances": [{"i": [1]}, {"i": [1, 2]}]},
        "key: i of 'instances'",
    ),
    ("MultipleNamedTensorErrors", {"i": "int32"}, {"instances": [{"i": 1}, [1]]}, "Expecting object but got list"),
    (
        "MultipleNamedTensorErrors",
        {"i": "int32"},
        {"instances": [[1], {"i": 1}]},
        "Expecting value/list but got object",
    ),
    ("AddInstanceItem", {"a": "int32"}, {"instances": [{"a": 1, "c": 1}]}, "does not have named input: c"),
    ("FillTensorMapFromInstancesList", {"a": "int32", "b": "int32"}, {"instances": [{"a": 1}]}, "be equal to: a,b"),
    (
        "FillTensorProto",
        {"x": "int32"},
        {"inputs": [[1, 2], [3]]},
        "at unexpected size: 1 at level: 1 expected size: 2",
    ),
    ("FillTensorProto", {"x": "int32"}, {"inputs": [[1, 2], 3]}, "3 found at incorrect level: 2"),
    ("FillTensorProto", {"x": "int32"}, {"inputs": [1, [2]]}, "Encountered list at unexpected level: 1 expected < 1"),
    ("AddValueToTensor", {"x": "float32"}, {"inputs": [True]}, "true Type: True is not of expected type: float"),
    ("AddValueToTensor", {"x": "int32"}, {"inputs": [1.5]}, "1.5 Type: Number is not of expected type: int32"),
    ("AddValueToTensor", {"x": "int32"}, {"inputs": [2**31]}, "not of expected type: int32"),
    ("AddValueToTensor", {"x": "uint64"}, {"inputs": [-1]}, "not of expected type: uint64"),
    ("AddValueToTensor", {"x": "int64"}, {"inputs": [2**63]}, "not of expected type: int64"),
    ("AddValueToTensor", {"x": "complex64"}, {"inputs": [1]}, "Conversion of JSON Value: 1 to type: complex64"),
    ("JsonDecodeBase64Object", {"x": "string"}, {"inputs": [{"b64": "!"}]}, "Unable to base64 decode"),
    ("JsonDecodeBase64Object", {"x": "string"}, {"inputs": [{"b64": 1}]}, "not formatted correctly for base64 data"),
    (
        "ParseJson",
        {"x": "float64"},
        {"inputs": [10**400]},
        "JSON Parse error: Number too big to be stored in double.",
    ),
    ("more than NumPy takes", {"x": "int32"}, b'{"inputs": ' + b"[" * 40 + b"1" + b"]" * 40 + b"}", "nested more"),
]

UNWRITABLE = [
    ("FromJsonSingleTensorErrors", {}, "empty tensor map"),
    ("FromJsonSingleTensorErrors", {"t": np.zeros(2, np.complex64)}, "tensor type: complex64"),
    ("FromJsonSingleTensorErrors", {"t": np.int32(1)}, "no shape information"),
    ("FromJsonMultipleNamedTensorsErrors", {"a": np.zeros(2), "b": np.zeros(1)}, "b has inconsistent batch size: 1"),
]


@pytest.mark.parametrize(("dtypes", "body", "expected"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_what_is_fed(dtypes: dict[str, str], body: dict[str, Any], expected: dict[str, Any]) -> None:
    _, form, arrays = read(json.dumps(body).encode(), {"serving_default": dtypes})
    assert form in body
    assert arrays.keys() == expected.keys()
    for name, array in arrays.items():
        assert array.dtype == (object if dtypes[name] == "string" else dtypes[name])
        np.testing.assert_array_equal(array, np.array(expected[name], dtype=array.dtype), strict=True)
        if array.dtype.kind == "f":
            np.testing.assert_array_equal(np.signbit(array), np.signbit(np.array(expected[name])))


@pytest.mark.parametrize(("dtypes", "body", "words"), [row[1:] for row in REFUSED])
def test_what_is_refused_in_tf_servings_words(dtypes: dict[str, str], body: Any, words: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(body if isinstance(body, bytes) else json.dumps(body).encode(), {"serving_default": dtypes})
    assert words in caught.value.message
    assert caught.value.http_status == (501 if dtypes == {"x": "complex64"} else 400)


@pytest.mark.parametrize(("outputs", "words"), [row[1:] for row in UNWRITABLE])
def test_what_cannot_be_written_in_rows(outputs: dict[str, Any], words: str) -> None:
    with pytest.raises(ServingError, match=words):
        to_json({name: np.asarray(value) for name, value in outputs.items()}, "instances")
