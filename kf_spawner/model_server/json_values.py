"""JSON as TF Serving reads it: the object in a body, and which values go into a tensor of which type. Pure."""

import base64
import binascii
import contextlib
import json
from typing import Any

import orjson

from .errors import invalid

INTEGERS = {
    name: (0, 2**bits - 1) if name.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for bits in (8, 16, 32, 64)
    for name in (f"int{bits}", f"uint{bits}")
}
"""The smallest and the largest number of each type of whole numbers."""

ALLOWED: dict[str, set[type]] = {
    "string": {str, dict},
    "bool": {bool},
    **{name: {int, float} for name in ("float16", "float32", "float64")},
    **{name: {int} for name in INTEGERS},
}
"""Python's types of the JSON values that a tensor of each type takes."""


def parse(body: bytes) -> dict[str, Any]:
    """The object in a body. Raises `ServingError`."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = _loaded(body)
    except RecursionError as error:
        raise invalid("JSON Parse error: nested too deeply") from error
    except json.JSONDecodeError as error:
        words = "Invalid value." if error.msg == "Expecting value" else error.msg
        raise invalid(f"JSON Parse error: {words} at offset: {error.pos}") from error
    except ValueError as error:  # wrong UTF-8, or a number of thousands of digits
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {show(document)} Is not object")
    return document


def _loaded(body: bytes) -> Any:
    """Several times faster than `json`, which reads what orjson does not: bare words such as NaN, lone surrogates."""
    with contextlib.suppress(orjson.JSONDecodeError):  # which has a copy of the body
        return orjson.loads(body)
    return json.loads(body)


def signature_name(document: dict[str, Any], default: str = "") -> str:
    """The signature that a request names. Raises `ServingError`."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name or default


def is_base64(value: object) -> bool:
    """Whether it is a binary string: an object with the one key `b64`."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def to_bytes(value: str | dict[str, str]) -> bytes:
    """The bytes of a string, or of one for which `is_base64` holds. Raises `ServingError`."""
    if isinstance(value, str):
        return value.encode("utf-8", errors="surrogatepass")
    text = value["b64"]
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def kind(value: object) -> str:
    """The name of a JSON value's type."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, int | float):
        return "Number"
    return "Object" if isinstance(value, dict) else "Array" if isinstance(value, list) else "String"


def show(value: object) -> str:
    """A JSON value for a message, cut after 80 characters."""
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
