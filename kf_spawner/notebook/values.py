"""Values of a kernel as TensorFlow Serving's JSON, and its answers as values: arrays, tensors, frames, bytes, paths.

Pure. Knows the libraries of such values by their methods alone, so that it needs none of them.
"""

import base64
import os
import sys
from collections.abc import Mapping
from typing import Any, Dict, Optional

from .errors import KfError

# Of pandas' frames and series; of tensors.
_TO_NUMPY = ("to_numpy", "numpy")
_BASE64 = "b64"


def jsonable(value: Any) -> Any:
    """What `json.dumps` writes for a value that it does not know. TypeError if there is nothing."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {_BASE64: base64.b64encode(value).decode("ascii")}
    if hasattr(value, "__fspath__"):
        return os.fspath(value)
    array = _array(value)
    if array is None:
        raise TypeError("a %s has no value that JSON can hold" % type(value).__name__)
    return array.tolist()


def from_json(item: Dict[str, Any]) -> Any:
    """`object_hook` of `json.loads`: bytes for TensorFlow Serving's base64."""
    if len(item) == 1 and isinstance(item.get(_BASE64), str):
        return base64.b64decode(item[_BASE64])
    return item


def question(given: Any, signature_name: Optional[str] = None) -> Dict[str, Any]:
    """The body of a `:predict` request. KfError if there is nothing to predict."""
    if isinstance(given, (list, tuple)) and not given:
        raise KfError("is empty: give at least one row", field="instances", reason="BadRequest")
    _refuse_empty(given, "instances")
    if isinstance(given, Mapping):
        given = dict(given)
        for name, column in given.items():
            _refuse_empty(column, "instances[%r]" % (name,))
    # A list without names is one input. As `inputs` its outputs need not have a row for each of its items.
    body = {"instances" if _is_named_rows(given) else "inputs": given}
    if signature_name is not None:
        body["signature_name"] = signature_name
    return body


def answer(document: Dict[str, Any], given: Any) -> Any:
    """The outputs in an answer, in the kind and form of what was `given`: see `Endpoint.predict`."""
    outputs = document["predictions"] if "predictions" in document else document["outputs"]
    columns = given.values() if isinstance(given, Mapping) else [given]
    if any(_array(column) is not None for column in columns):
        if isinstance(outputs, dict):
            return {name: _as_array(output) for name, output in outputs.items()}
        return _as_array(outputs)
    return _by_row(outputs) if isinstance(given, (list, tuple)) and isinstance(outputs, dict) else outputs


def _by_row(outputs: Dict[str, Any]) -> Any:
    """A dict for each row, if all outputs have equally many; else the outputs whole."""
    lists = [output for output in outputs.values() if isinstance(output, list)]
    if len(lists) < len(outputs) or len(set(map(len, lists))) != 1:
        return outputs
    return [{name: output[row] for name, output in outputs.items()} for row in range(len(lists[0]))]


def _is_named_rows(given: Any) -> bool:
    """Whether it is a list with a dict of inputs for each row."""
    return isinstance(given, (list, tuple)) and isinstance(given[0], Mapping) and not _is_base64(given[0])


def _is_base64(value: Any) -> bool:
    return len(value) == 1 and isinstance(value.get(_BASE64), str)


def _refuse_empty(value: Any, field: str) -> None:
    """JSON keeps no shape: `[]` may be of any."""
    shape = tuple(getattr(_array(value), "shape", ()))
    if 0 in shape:
        raise KfError("has the shape %s, so it is empty: give at least one row" % (shape,), field, "BadRequest")


def _array(value: Any) -> Any:
    """An array for an array, scalar of numpy, tensor, frame or series; else None."""
    if isinstance(value, type):
        return None
    for method in _TO_NUMPY:
        if hasattr(value, method):
            return getattr(value, method)()
    return value if hasattr(value, "tolist") else None


def _as_array(outputs: Any) -> Any:
    """numpy's array of an output; text and bytes as objects, because numpy's own types cut zeros at their end."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return outputs
    leaf = outputs
    while isinstance(leaf, list) and leaf:
        leaf = leaf[0]
    array = numpy.array(outputs, dtype=object if isinstance(leaf, (str, bytes)) else None)
    # Whole numbers that do not fit 64 bits with a sign: numpy would take floats, and lose digits.
    return numpy.array(outputs, dtype="uint64") if array.dtype.kind == "f" and type(leaf) is int else array
