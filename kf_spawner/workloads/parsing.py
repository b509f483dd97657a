"""Texts of JSON and YAML from callers -> plain values that can be sent on as JSON.

Does not know what the values mean. Later steps rely on its checks: only values that JSON has, no half of a character,
no nesting or repetition (YAML's aliases) that would exhaust a later step's memory.
"""

import json
import math
from typing import Any

import yaml

from .errors import RequestError

DEPTH = 100
VALUES = 200_000


def from_json(text: bytes, *, field: str) -> Any:
    """Raises RequestError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad_request(f"is not JSON: {error}", field) from error
    _check(value, field)
    return value


def from_yaml(text: str, *, field: str) -> list[Any]:
    """The documents that are not empty. Raises RequestError."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, ValueError, AttributeError, RecursionError) as error:  # the others: dates and numbers
        raise _bad_request(f"is not valid YAML: {error}", field) from error
    _check(documents, field)
    return documents


def _check(value: Any, field: str) -> None:
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > DEPTH or seen > VALUES:
            raise _bad_request(f"is nested more than {DEPTH} times, or has more than {VALUES} values", field)
        if isinstance(item, dict):
            if odd := [key for key in item if not isinstance(key, str)]:
                raise _bad_request(f"has the name {odd[0]!r}, which is not text: put it in quotes", field)
            waiting += [(part, depth + 1) for pair in item.items() for part in pair]
        elif isinstance(item, list):
            waiting += [(part, depth + 1) for part in item]
        elif problem := _problem(item):
            raise _bad_request(problem, field)


def _problem(item: Any) -> str | None:
    if isinstance(item, str):
        try:
            item.encode()
        except UnicodeEncodeError:
            return f"holds half of a character: {item[:100]!a}"
    elif isinstance(item, float) and not math.isfinite(item):
        return f"holds the number {item}, which JSON does not have"
    elif item is not None and not isinstance(item, bool | int | float):
        return f"holds a {type(item).__name__} ({item}): put it in quotes"
    return None


def _bad_request(message: str, field: str) -> RequestError:
    return RequestError(400, "BadRequest", message, field=field)
