"""Texts of JSON and YAML from callers -> plain values that can be sent on as JSON.

Does not know what the values mean, but that a manifest has a kind. Later steps rely on its checks: only values that
JSON has, no half of a character, and so few values and so little nesting that no later step takes long. Call it in a
thread: a text at the limits takes some tenths of a second.
"""

import json
import math
import re
from collections.abc import Callable
from typing import Any

import yaml
from yaml.constructor import ConstructorError, SafeConstructor

from kf_spawner.wrong_input import shown

from .errors import RequestError

DEPTH = 100
"""How deep values may be nested."""
VALUES = 20_000
"""How many values a text may have, names included. What an alias of YAML stands for counts at each place."""
DIGITS = 1000
"""Characters of a number in YAML: to read one takes time with the square of its length."""
DIRECTIVES = 10
_DIRECTIVE = re.compile("(?:^|[\r\n\x85\u2028\u2029])%")


def from_json(text: bytes, *, field: str) -> Any:
    """Raises RequestError."""
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise _too_deep(field) from error
    except ValueError as error:
        raise _bad_request(f"is not JSON: {error}", field) from error
    _check(value, field)
    return value


def from_yaml(text: str, *, field: str) -> list[Any]:
    """The documents that are not empty. Raises RequestError."""
    if len(_DIRECTIVE.findall(text)) > DIRECTIVES:  # libyaml compares each with all before
        raise _bad_request(f"has more than {DIRECTIVES} YAML directives (lines that begin with %)", field)
    try:
        _check_events(text, field)
        documents = [document for document in yaml.load_all(text, Loader=_Loader) if document is not None]
    except (yaml.YAMLError, ValueError) as error:
        raise _bad_request(f"is not valid YAML: {error}", field) from error
    _check(documents, field)
    return documents


def parse_manifest(text: str) -> dict[str, Any]:
    """The one TFJob in a YAML (or JSON) text."""
    documents = from_yaml(text, field="manifest")
    if len(documents) != 1:
        raise RequestError(
            400, "BadRequest", f"must hold one TFJob, and holds {len(documents)} documents", field="manifest"
        )
    if not isinstance(documents[0], dict):
        raise RequestError(400, "BadRequest", "must be an object that begins with kind: TFJob", field="manifest")
    if "kind" not in documents[0]:
        raise RequestError(400, "BadRequest", "is missing; write kind: TFJob", field="kind")
    return documents[0]


class _Loader(yaml.CSafeLoader):
    """Refuses long numbers, and says what a scalar is not where PyYAML only fails."""


def _scalar(kind: str, construct: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checked(loader: Any, node: Any) -> Any:
        if len(node.value) > DIGITS:
            message = f"{kind} has {len(node.value):,} characters and may have {DIGITS:,}"
            raise ConstructorError(problem=message, problem_mark=node.start_mark)
        try:
            return construct(loader, node)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            message = f"{shown(node.value)} is not {kind}"
            raise ConstructorError(problem=message, problem_mark=node.start_mark) from error

    return checked


for _tag, _kind, _construct in (
    ("int", "a whole number", SafeConstructor.construct_yaml_int),
    ("float", "a number", SafeConstructor.construct_yaml_float),
    ("bool", "true or false", SafeConstructor.construct_yaml_bool),
    ("timestamp", "a date", SafeConstructor.construct_yaml_timestamp),
):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _scalar(_kind, _construct))


def _check_events(text: str, field: str) -> None:
    """Refuses YAML beyond the limits before any value is made of it: a few aliases may stand for billions."""
    seen = 0
    open_at: list[tuple[str | None, int]] = []  # of each mapping and list around: its anchor, what was seen before
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_at.append((event.anchor, seen))
            seen += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_at.pop()
            if anchor:
                sizes[anchor] = seen - before
        elif isinstance(event, yaml.ScalarEvent):
            seen += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_at):
                raise _bad_request(f"*{event.anchor} stands for what it is a part of", field)
            seen += sizes.get(event.anchor or "", 1)
        if len(open_at) > DEPTH:
            raise _too_deep(field)
        if seen > VALUES:
            raise _too_many(field)


def _check(value: Any, field: str) -> None:
    waiting, seen = [(value, 0)], 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if depth > DEPTH:
            raise _too_deep(field)
        if seen > VALUES:
            raise _too_many(field)
        if isinstance(item, dict):
            if odd := [key for key in item if not isinstance(key, str)]:
                raise _bad_request(f"has the name {shown(odd[0])}, which is not text: put it in quotes", field)
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
        return f"holds a {type(item).__name__} ({str(item)[:60]}): put it in quotes"
    return None


def _bad_request(message: str, field: str) -> RequestError:
    return RequestError(400, "BadRequest", message, field=field)


def _too_deep(field: str) -> RequestError:
    return RequestError(422, "TooDeep", f"is nested more than {DEPTH} times, which is the limit", field=field)


def _too_many(field: str) -> RequestError:
    message = f"has more than {VALUES:,} values, which is the limit: put data on the home volume instead"
    return RequestError(422, "TooManyValues", message, field=field)
