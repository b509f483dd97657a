"""A prediction's arrays -> the JSON of its answer. Pure: knows NumPy, neither TensorFlow nor HTTP.

A request in row format is answered with `{"predictions": [...]}`, one in column format with `{"outputs": ...}`.
Outputs whose name ends in `_bytes` are written as `{"b64": "..."}`; `NaN`, `Infinity` and `-Infinity` as bare words.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import invalid


def to_json(outputs: Mapping[str, np.ndarray], rows: bool) -> bytes:
    """The answer's body. With one output its name is left out, as TF Serving does."""
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON: the signature has no outputs")
    if rows:
        _check_rows(outputs)
    values = {name: _plain(name, array) for name, array in sorted(outputs.items())}
    if len(values) == 1:
        answer = next(iter(values.values()))
    elif rows:
        answer = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        answer = values
    return json.dumps({"predictions" if rows else "outputs": answer}).encode()


def _check_rows(outputs: Mapping[str, np.ndarray]) -> None:
    size = None
    for name, array in sorted(outputs.items()):
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information : use the column format ('inputs')")
        if size not in (None, array.shape[0]):
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {array.shape[0]} expecting: {size}: "
                "use the column format ('inputs')"
            )
        size = array.shape[0]


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
