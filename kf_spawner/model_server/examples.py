"""A classify or regress request's JSON -> the features of its examples. Pure.

`{"examples": [{"x": 1.0, "words": ["a", {"b64": "..."}]}, ...]}`, each a `tf.Example`. The first element of a feature
decides its kind: decimals are floats, whole numbers and booleans int64, strings bytes. `context` holds features that
all examples share.
"""

from dataclasses import dataclass
from typing import Any

from .errors import invalid
from .json_values import is_base64, kind, parse, show, signature_name, to_bytes

Features = dict[str, tuple[str, list[Any]]]
"""By name: the kind as a field of `tf.train.Feature`, such as `float_list`, and the values. A kind of "" has none."""

_KINDS: dict[type, str] = {
    float: "float_list",
    int: "int64_list",
    bool: "int64_list",
    str: "bytes_list",
    dict: "bytes_list",
}


@dataclass(frozen=True)
class ExampleRequest:
    """What a request asks for. `context` is empty if there is none."""

    signature_name: str
    context: Features
    examples: list[Features]


def read(body: bytes) -> ExampleRequest:
    """The request in a body. Raises `ServingError`."""
    document = parse(body)
    signature = signature_name(document)
    context = _features(document["context"]) if "context" in document else {}
    if "examples" not in document:
        # TF Serving's words for both methods.
        raise invalid(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise invalid(f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise invalid(f"JSON Value: {show(document)} 'examples' value is an empty array")
    return ExampleRequest(signature, context, [_features(example) for example in examples])


def _features(example: object) -> Features:
    if not isinstance(example, dict):
        raise invalid(f"Example must be JSON object but got JSON {kind(example)}")
    return {name: _feature(name, value if isinstance(value, list) else [value]) for name, value in example.items()}


def _feature(name: str, values: list[Any]) -> tuple[str, list[Any]]:
    of = ""
    for value in values:
        found = _KINDS.get(type(value), "")
        if not found or (isinstance(value, dict) and not is_base64(value)):
            raise invalid(f"Feature: {name} has element with unexpected JSON type: {kind(value)}")
        of = of or found
        if found != of:
            expected = of.removesuffix("_list")
            raise invalid(f"Unexpected element type in feature: {name} expecting type: {expected}")
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    return of, list(map(to_bytes, values)) if of == "bytes_list" else values
