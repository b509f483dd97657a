"""Writes the browser's types of the dashboard's JSON, made from Python's: `make browser-types`.

Reads `kf_spawner.workloads.wire`; knows no other room.
"""

import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from kf_spawner.workloads import wire

TARGET = Path(__file__).resolve().parents[1] / "kf_spawner/dashboard/static/api/wire.d.ts"
HEAD = "// Made by `make browser-types` from kf_spawner/workloads/wire.py; change that file.\n"
PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null", Any: "unknown"}


def declarations() -> str:
    """The text of the `.d.ts` file: an interface for each TypedDict, a type for each alias."""
    own = [(name, value) for name, value in vars(wire).items() if not name.startswith("_")]
    aliases = {value: name for name, value in own if _is_alias(value)}
    pieces = [HEAD]
    for name, value in own:
        if is_typeddict(value):
            pieces.append("\n".join(_interface(value, aliases)))
        elif _is_alias(value):
            pieces.append(f"export type {name} = {_written_out(value, aliases)};\n")
    return "\n".join(pieces)


def _is_alias(value: Any) -> bool:
    return get_origin(value) in (Literal, Union, types.UnionType)


def _interface(definition: Any, aliases: dict[Any, str]) -> Iterator[str]:
    """A TypedDict's fields, those that it inherits included: Python 3.11 does not keep its bases."""
    words = inspect.getdoc(definition)
    if words and not words.startswith("dict("):
        lines = words.splitlines()
        yield (
            f"/** {lines[0]} */"
            if len(lines) == 1
            else "\n".join(["/**", *(f" * {x}".rstrip() for x in lines), " */"])
        )
    yield f"export interface {definition.__name__} {{"
    for field, kind in get_type_hints(definition).items():
        optional = "?" if field in definition.__optional_keys__ else ""
        yield f"  {field}{optional}: {_type(kind, aliases)};"
    yield "}\n"


def _type(kind: Any, aliases: dict[Any, str]) -> str:
    return aliases[kind] if _is_alias(kind) and kind in aliases else _written_out(kind, aliases)


def _written_out(kind: Any, aliases: dict[Any, str]) -> str:
    if kind in PLAIN:
        return PLAIN[kind]
    if is_typeddict(kind):
        return kind.__name__
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " | ".join("true" if one is True else f'"{one}"' for one in arguments)
    if origin in (Union, types.UnionType):
        return " | ".join(_type(one, aliases) for one in arguments)
    if origin is list:
        return f"Array<{_type(arguments[0], aliases)}>"
    if origin is dict:
        return f"Record<{_type(arguments[0], aliases)}, {_type(arguments[1], aliases)}>"
    raise TypeError(
        f"wire.py uses {kind}, which this script cannot write as TypeScript: teach it, or use another type"
    )


if __name__ == "__main__":
    TARGET.write_text(declarations())
