"""A prediction's arrays -> the JSON of its answer. Pure: knows NumPy, neither TensorFlow nor HTTP.

A request in row format is answered with `{"predictions": [...]}`, one in column format with `{"outputs": ...}`.
Outputs whose name ends in `_bytes` are written as `{"b64": "..."}`; `NaN`, `Infinity` and `-Infinity` as bare words.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from . import results
from .errors import invalid
from .plain import plain


def to_json(outputs: Mapping[str, np.ndarray], form: str) -> bytes:
    """The answer's body. `form`: `instances` or `inputs`, as the request had it, or `classify` or `regress`."""
    if form in ("instances", "inputs"):
        return _of_predict(outputs, rows=form == "instances")
    return results.to_json(form, outputs)


def _of_predict(outputs: Mapping[str, np.ndarray], *, rows: bool) -> bytes:
    """With one output its name is left out, as TF Serving does."""
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON: the signature has no outputs")
    if rows:
        _check_rows(outputs)
    arrays = dict(sorted(outputs.items()))
    if all(_is_fast(array) for array in arrays.values()):
        values = {name: np.asarray(array, order="C") if array.ndim else array[()] for name, array in arrays.items()}
        return orjson.dumps(_answer(values, rows), option=orjson.OPT_SERIALIZE_NUMPY)
    return json.dumps(_answer({name: plain(name, array) for name, array in arrays.items()}, rows)).encode()


def _answer(values: Mapping[str, Any], rows: bool) -> dict[str, Any]:
    if len(values) == 1:
        answer = next(iter(values.values()))
    elif rows:
        answer = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    else:
        answer = values
    return {"predictions" if rows else "outputs": answer}


def _is_fast(array: np.ndarray) -> bool:
    """Whether orjson writes it right, some fifty times as fast: no text, NaN or infinity, nor digits of 16 bits."""
    is_float = array.dtype.kind == "f" and array.dtype.itemsize >= 4
    return array.dtype.kind in "biu" or (is_float and bool(np.isfinite(array).all()))


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
