"""A predict request's JSON -> the arrays to feed. Pure: knows NumPy, neither TensorFlow nor HTTP.

Row format: `{"instances": [...]}`; column format: `{"inputs": ..}`. Binary strings are `{"b64": "..."}`; `NaN`,
`Infinity` and `-Infinity` are bare words. A signature's shape is not looked at, as in TF Serving: a model may take
more than it says.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np

from . import faults
from .errors import ServingError, invalid
from .json_values import ALLOWED, INTEGERS, is_base64, parse, signature_name, to_bytes

DEFAULT_SIGNATURE = "serving_default"
MAX_RANK = 32
"""Most dimensions of an input: the limit of NumPy's older versions, far more than any model has."""


class _WrongError(Exception):
    """A value makes no array of its type; `faults` says why."""


def read(body: bytes, signatures: Mapping[str, Mapping[str, str]]) -> tuple[str, str, dict[str, np.ndarray]]:
    """The signature that a body names, its format as the key `instances` or `inputs`, and the arrays by input name.

    `signatures` has the inputs of each, with TensorFlow's name of their type. Raises `ServingError`.
    """
    document = parse(body)
    name = signature_name(document, DEFAULT_SIGNATURE)
    if name not in signatures:
        known = ", ".join(sorted(signatures))
        raise invalid(f'Serving signature name: "{name}" not found in signature def; there are: {known}')
    given = [key for key in ("instances", "inputs") if key in document]
    if not given:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(given) == 2:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    (form,) = given
    from_json = _from_rows if form == "instances" else _from_columns
    return name, form, from_json(document[form], signatures[name])


def _from_rows(rows: object, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    if not isinstance(rows, list):
        raise invalid("Expecting 'instances' to be an list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    columns = _rows_to_columns(rows, dtypes)
    try:
        return {name: _to_array(columns[name], dtype) for name, dtype in dtypes.items()}
    except _WrongError as error:
        raise faults.in_rows(rows, dtypes) or invalid(str(error)) from error


def _rows_to_columns(rows: list[Any], dtypes: Mapping[str, str]) -> dict[str, list[Any]]:
    if not _is_named(rows[0]):
        if len(dtypes) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors required "
                f"as per tensorinfo_map: {', '.join(sorted(dtypes))}"
            )
        for index, row in enumerate(rows):
            if _is_named(row):
                raise invalid(f"Expecting value/list but got object at item {index} of input list")
        return dict.fromkeys(dtypes, rows)
    for index, row in enumerate(rows):
        if not _is_named(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if row.keys() != dtypes.keys():
            raise _wrong_keys(index, row, dtypes)
    return {name: [row[name] for row in rows] for name in dtypes}


def _wrong_keys(index: int, row: dict[str, Any], dtypes: Mapping[str, str]) -> ServingError:
    for name in row:
        if name not in dtypes:
            return invalid(
                f"Failed to process element: {index} key: {name} of 'instances' list. Error: INVALID_ARGUMENT: "
                f"JSON object: does not have named input: {name}; there are: {', '.join(sorted(dtypes))}"
            )
    return invalid(
        f"Failed to process element: {index} of 'instances' list. JSON object keys: "
        f"{','.join(sorted(row))} keys must be equal to: {','.join(sorted(dtypes))}"
    )


def _from_columns(inputs: object, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    arrays = {}
    for name, value in _named(inputs, dtypes).items():
        try:
            arrays[name] = _to_array(value, dtypes[name])
        except _WrongError as error:
            fault = faults.in_value(value, dtypes[name]) or invalid(str(error))
            raise ServingError(fault.code, f"Failed to process input '{name}': {fault.message}") from error
    return arrays


def _named(inputs: object, dtypes: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(inputs, dict) or is_base64(inputs):
        if len(dtypes) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required "
                f"as per tensorinfo_map: {', '.join(sorted(dtypes))}"
            )
        return dict.fromkeys(dtypes, inputs)
    for name in dtypes:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in dtypes}


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _to_array(value: Any, dtype: str) -> np.ndarray:
    shape, leaves, kinds = _flatten(value)
    if dtype not in ALLOWED or not kinds <= ALLOWED[dtype]:
        raise _WrongError("its values are of the wrong type")
    try:
        return _leaves_to_array(leaves, dtype).reshape(shape)
    except (OverflowError, ServingError) as error:
        raise _WrongError(str(error)) from error


def _flatten(value: Any) -> tuple[tuple[int, ...], list[Any], set[type]]:
    """Shape, leaves and the leaves' types of nested lists, level by level, without recursion."""
    shape: list[int] = []
    level = [value]
    while list in (kinds := set(map(type, level))):
        sizes = set(map(len, level)) if len(kinds) == 1 else set()
        if len(sizes) != 1:
            raise _WrongError(f"its lists are uneven at level {len(shape)}: all must have one size and depth")
        if len(shape) == MAX_RANK:
            raise _WrongError(f"its lists are nested more than {MAX_RANK} deep")
        shape.append(sizes.pop())
        level = list(chain.from_iterable(level))
    return tuple(shape), level, kinds


def _leaves_to_array(leaves: list[Any], dtype: str) -> np.ndarray:
    """Numbers beyond a float's precision or range are rounded or become infinite, as in TF Serving."""
    if dtype == "string":
        if not all(is_base64(leaf) for leaf in leaves if type(leaf) is dict):
            raise invalid("not formatted correctly for base64 data")
        return np.array([to_bytes(leaf) for leaf in leaves], dtype=object)
    if dtype in INTEGERS or dtype == "bool":
        return np.array(leaves, dtype=dtype)
    with np.errstate(over="ignore"):
        return np.array(leaves, dtype=np.float64).astype(dtype)
