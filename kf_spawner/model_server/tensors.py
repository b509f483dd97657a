"""TF Serving's JSON <-> arrays. Pure: knows NumPy, neither TensorFlow nor HTTP.

Row format: `{"instances": [...]}` -> `{"predictions": [...]}`; column format: `{"inputs": ..}` -> `{"outputs": ..}`.
Binary strings are `{"b64": "..."}`; outputs whose name ends in `_bytes` are written that way. `NaN`, `Infinity` and
`-Infinity` are read and written as bare words, as TF Serving does.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from .errors import ServingError, invalid

DEFAULT_SIGNATURE = "serving_default"
MAX_RANK = 32
"""Most dimensions of an input: the limit of NumPy's older versions, far more than any model has."""


@dataclass(frozen=True)
class Spec:
    """A tensor of a signature. `dtype` is TensorFlow's name for it, `shape` None if any, with -1 for any size."""

    dtype: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class PredictRequest:
    """What a request asks for. `rows`: it came in row format and is answered in it."""

    signature_name: str
    rows: bool
    inputs: Any


def read(body: bytes, signatures: Mapping[str, Mapping[str, Spec]]) -> tuple[str, bool, dict[str, np.ndarray]]:
    """The signature that a body names, whether it is in row format, and the arrays to feed by input name.

    `signatures` has the inputs of each. Raises `ServingError`.
    """
    request = parse_request(body)
    name = request.signature_name or DEFAULT_SIGNATURE
    if name not in signatures:
        known = ", ".join(sorted(signatures))
        raise invalid(f'Serving signature name: "{name}" not found in signature def; there are: {known}')
    return name, request.rows, to_arrays(request, signatures[name])


def parse_request(body: bytes) -> PredictRequest:
    """The request in a body. Its inputs are checked later, by `to_arrays`, against the signature it names."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise invalid("JSON Parse error: nested too deeply") from error
    except ValueError as error:  # wrong JSON or wrong UTF-8
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_show(document)} Is not object")
    signature = document.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid("'signature_name' key must be a string value.")
    given = [key for key in ("instances", "inputs") if key in document]
    if not given:
        raise invalid("Missing 'inputs' or 'instances' key")
    if len(given) == 2:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    return PredictRequest(signature, given == ["instances"], document[given[0]])


def to_arrays(request: PredictRequest, specs: Mapping[str, Spec]) -> dict[str, np.ndarray]:
    """The arrays to feed, by input name. Raises `ServingError` that names the input and what is wrong with it."""
    values = _rows_to_columns(request.inputs, specs) if request.rows else _named(request.inputs, specs)
    return {name: _to_array(name, value, specs[name]) for name, value in values.items()}


def to_json(outputs: Mapping[str, np.ndarray], rows: bool) -> bytes:
    """The answer's body. With one output its name is left out, as TF Serving does."""
    if not outputs:
        raise invalid("The signature has no outputs")
    values = {name: _plain(name, array) for name, array in sorted(outputs.items())}
    if rows:
        sizes = {name: array.shape[0] if array.ndim else None for name, array in outputs.items()}
        for name, size in sizes.items():
            if size is None:
                raise invalid(f"Tensor name: {name} has no batch dimension: use the column format ('inputs')")
        if len(set(sizes.values())) > 1:
            raise invalid(f"Outputs differ in batch size ({sizes}): use the column format ('inputs')")
    if len(values) == 1:
        answer = next(iter(values.values()))
    elif rows:
        answer = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        answer = values
    return json.dumps({"predictions" if rows else "outputs": answer}).encode()


def _rows_to_columns(rows: object, specs: Mapping[str, Spec]) -> dict[str, list[Any]]:
    if not isinstance(rows, list):
        raise invalid("Expecting 'instances' to be a list/array")
    if not rows:
        raise invalid("No values in 'instances' array")
    if not _is_named(rows[0]):
        if len(specs) > 1:
            raise invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors are required: "
                + ", ".join(sorted(specs))
            )
        for index, row in enumerate(rows):
            if _is_named(row):
                raise invalid(f"Expecting value/list but got object at item {index} of input list")
        return dict.fromkeys(specs, rows)
    for index, row in enumerate(rows):
        if not _is_named(row):
            raise invalid(f"Expecting object but got list at item {index} of input list")
        if row.keys() != specs.keys():
            raise invalid(
                f"Failed to process element: {index} of 'instances' list. JSON object keys: "
                f"{', '.join(sorted(row))} must be equal to: {', '.join(sorted(specs))}"
            )
    return {name: [row[name] for row in rows] for name in specs}


def _named(inputs: object, specs: Mapping[str, Spec]) -> dict[str, Any]:
    if not isinstance(inputs, dict) or _is_base64(inputs):
        if len(specs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors are required: "
                + ", ".join(sorted(specs))
            )
        return dict.fromkeys(specs, inputs)
    for name in specs:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: inputs[name] for name in specs}


def _is_base64(value: object) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _to_array(name: str, value: Any, spec: Spec) -> np.ndarray:
    try:
        shape, leaves = _flatten(value)
        if not _fits(shape, spec.shape):
            raise invalid(f"expecting shape {_show_shape(spec.shape)} but got: {_show_shape(shape)}")
        return _leaves_to_array(leaves, spec.dtype).reshape(shape)
    except ServingError as error:
        raise ServingError(error.code, f"Failed to process input '{name}': {error.message}") from error


def _flatten(value: Any) -> tuple[tuple[int, ...], list[Any]]:
    """Shape and leaves of nested lists, level by level, without recursion."""
    shape: list[int] = []
    level = [value]
    while list in (kinds := set(map(type, level))):
        sizes = set(map(len, level)) if len(kinds) == 1 else set()
        if len(sizes) != 1:
            raise invalid(f"its lists are uneven at level {len(shape)}: all must have one size and depth")
        if len(shape) == MAX_RANK:
            raise invalid(f"its lists are nested more than {MAX_RANK} deep")
        shape.append(sizes.pop())
        level = list(chain.from_iterable(level))
    return tuple(shape), level


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...] | None) -> bool:
    return wanted is None or (
        len(shape) == len(wanted) and all(want in (-1, size) for size, want in zip(shape, wanted, strict=True))
    )


def _leaves_to_array(leaves: list[Any], dtype: str) -> np.ndarray:
    kinds = set(map(type, leaves))
    if dtype == "string":
        return np.array([_to_bytes(leaf) for leaf in leaves], dtype=object)
    if dtype == "bool":
        _only(leaves, kinds, {bool}, dtype)
        return np.array(leaves, dtype=np.bool_)
    if dtype in ("float32", "float64", "float16"):
        _only(leaves, kinds, {int, float}, dtype)
        return _floats(leaves, dtype)
    if dtype in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        _only(leaves, kinds, {int}, dtype)
        limits = np.iinfo(dtype)
        for leaf in (min(leaves, default=0), max(leaves, default=0)):
            if not limits.min <= leaf <= limits.max:
                raise invalid(f"JSON Value: {leaf} is out of range for type: {dtype}")
        return np.array(leaves, dtype=dtype)
    raise ServingError("UNIMPLEMENTED", f"Conversion of JSON values to type: {dtype}")


def _floats(leaves: list[Any], dtype: str) -> np.ndarray:
    """Refuses numbers that would lose their value: whole numbers beyond the mantissa, decimals beyond the range."""
    exact = 2 ** (np.finfo(dtype).nmant + 1) - 1
    for leaf in leaves:
        if type(leaf) is int and abs(leaf) > exact:
            raise invalid(f"Cannot convert JSON value: {leaf} to {dtype} without loss of precision.")
    wide = np.array(leaves, dtype=np.float64)
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype)
    lost = np.isinf(narrow) & ~np.isinf(wide)
    if lost.any():
        raise invalid(f"Cannot convert JSON value: {wide[lost][0]} to {dtype} without loss of precision.")
    return narrow


def _only(leaves: list[Any], kinds: set[type], allowed: set[type], dtype: str) -> None:
    if kinds <= allowed:
        return
    wrong = next(leaf for leaf in leaves if type(leaf) not in allowed)
    raise invalid(f"JSON Value: {_show(wrong)} Type: {_kind(wrong)} is not of expected type: {dtype}")


def _to_bytes(leaf: Any) -> bytes:
    if isinstance(leaf, str):
        return leaf.encode("utf-8", errors="surrogatepass")
    if not _is_base64(leaf):
        raise invalid(f"JSON Value: {_show(leaf)} Type: {_kind(leaf)} is not of expected type: string")
    try:
        return base64.b64decode(leaf["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid("Unable to base64 decode") from error


def _plain(name: str, array: np.ndarray) -> Any:
    """An array as lists that `json` can write."""
    if array.dtype.name == "bfloat16":  # not one of NumPy's own
        array = array.astype(np.float32)
    if array.dtype.kind in "OSU":
        write = _b64 if name.endswith("_bytes") else lambda value: _text(name, value)
        written = np.empty(array.size, dtype=object)
        written[:] = [write(value) for value in array.ravel().tolist()]
        return written.reshape(array.shape).tolist()
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        # Through its own shortest text: 0.2 in 32 bits is written 0.2, not 0.20000000298023224.
        return array.astype(str).astype(np.float64).tolist()
    if array.dtype.kind in "biuf":
        return array.tolist()
    raise invalid(f"Failed to write JSON value for tensor type: {array.dtype.name}")


def _b64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode("ascii")}


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid(
            f"Output '{name}' holds bytes that are not text: give it a name that ends in _bytes to get them as b64"
        ) from error


def _kind(value: object) -> str:
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, int | float):
        return "Number"
    return "Object" if isinstance(value, dict) else "Array" if isinstance(value, list) else "String"


def _show(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _show_shape(shape: tuple[int, ...] | None) -> str:
    return "[?]" if shape is None else f"[{','.join(map(str, shape))}]"
