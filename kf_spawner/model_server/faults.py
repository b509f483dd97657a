"""What is wrong with values that make no tensor, in TF Serving's words. Pure.

Called only for a request that was found to be wrong: it looks at one value after the other, in TF Serving's order,
and returns the first fault.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from .errors import ServingError, invalid
from .json_values import ALLOWED, INTEGERS, is_base64, kind, show, to_bytes

_TYPE_NAMES = {"float16": "half", "float32": "float", "float64": "double"}
"""TF Serving's names of types, where they are not TensorFlow's in Python."""


def in_value(value: Any, dtype: str) -> ServingError | None:
    """The fault in the value of one tensor: in its nesting, or in the first leaf that has one."""
    shape = _shape(value)
    pending = [(value, 0)]
    while pending:
        item, level = pending.pop()
        if isinstance(item, list):
            fault = _in_list(item, level, shape)
            pending.extend((each, level + 1) for each in reversed(item))
        elif level != len(shape):
            fault = invalid(
                f"JSON Value: {show(item)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        else:
            fault = _in_leaf(item, dtype)
        if fault is not None:
            return fault
    return None


def in_rows(rows: Sequence[Any], dtypes: Mapping[str, str]) -> ServingError | None:
    """The fault in the first row that has one. A row is an object of named inputs, or the value of the only one."""
    first: dict[str, Any] = {}
    for index, row in enumerate(rows):
        named = isinstance(row, dict) and not is_base64(row)
        for name, value in row.items() if named else dict.fromkeys(dtypes, row).items():
            fault = in_value(value, dtypes[name]) or _beside(first.setdefault(name, value), value)
            if fault is not None:
                key = f" key: {name}" if named else ""
                message = f"Failed to process element: {index}{key} of 'instances' list. Error: "
                return ServingError(fault.code, f"{message}{fault.code}: {fault.message}")
    return None


def _shape(value: Any) -> list[int]:
    """As TF Serving takes it: along the first elements."""
    shape = []
    while isinstance(value, list):
        shape.append(len(value))
        value = value[0] if value else None
    return shape


def _beside(first: Any, value: Any) -> ServingError | None:
    """What keeps a row's value from standing beside the first row's in one tensor."""
    wanted, shape = _shape(first), _shape(value)
    if prod(wanted) != prod(shape):
        return invalid(f"Expecting tensor size: {prod(wanted)} but got: {prod(shape)}")
    if wanted != shape:
        return invalid(f"Expecting shape {_show_shape(wanted)} but got: {_show_shape(shape)}")
    return None


def _show_shape(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _in_list(item: list[Any], level: int, shape: list[int]) -> ServingError | None:
    if level >= len(shape):
        return invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(item) != shape[level]:
        return invalid(
            f"Encountered list at unexpected size: {len(item)} at level: {level} expected size: {shape[level]}"
        )
    return None


def _in_leaf(leaf: Any, dtype: str) -> ServingError | None:
    name = _TYPE_NAMES.get(dtype, dtype)
    if dtype not in ALLOWED:
        return ServingError("UNIMPLEMENTED", f"Conversion of JSON Value: {show(leaf)} to type: {name}")
    if type(leaf) not in ALLOWED[dtype]:
        return invalid(f"JSON Value: {show(leaf)} Type: {kind(leaf)} is not of expected type: {name}")
    if isinstance(leaf, dict) and not is_base64(leaf):
        return invalid(f"JSON Value: {show(leaf)} not formatted correctly for base64 data")
    try:
        if isinstance(leaf, dict):
            to_bytes(leaf)
        elif dtype in INTEGERS and not INTEGERS[dtype][0] <= leaf <= INTEGERS[dtype][1]:
            low, high = INTEGERS[dtype]
            text = f"JSON Value: {show(leaf)} Type: Number is not of expected type: {name}"
            return invalid(f"{text}, which is from {low} to {high}")
        elif dtype.startswith("float"):
            float(leaf)
    except OverflowError:
        return invalid("JSON Parse error: Number too big to be stored in double.")
    except ServingError as error:
        return error
    return None
