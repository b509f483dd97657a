"""TensorProtos <-> arrays, as TF Serving's gRPC takes and gives them. Imports TensorFlow when called.

The messages: https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/core/framework/tensor.proto
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .errors import ServingError, invalid
from .import_tensorflow import tensorflow


def to_arrays(sent: Mapping[str, Any], definition: Any, *, largest: int) -> dict[str, np.ndarray]:
    """The arrays of a PredictRequest's inputs for a SignatureDef, by input name.

    `largest`: bytes that one may have: a shape alone can ask for any size, because one value fills all of it.
    Raises `ServingError` in TF Serving's words.
    """
    _check_names(sent, definition.inputs)
    return {name: _to_array(name, proto, definition.inputs[name].dtype, largest) for name, proto in sent.items()}


def to_protos(arrays: Mapping[str, np.ndarray], wanted: Iterable[str]) -> dict[str, Any]:
    """The TensorProtos of the outputs in `wanted`, by name; of all if it is empty. Numbers go as `tensor_content`."""
    tf = tensorflow()
    names = list(wanted) or list(arrays)
    for name in names:
        if name not in arrays:
            known = ",".join(arrays)
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set {{{known}}}."
            )
    return {name: tf.make_tensor_proto(arrays[name]) for name in names}


def _check_names(sent: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    if len(sent) != len(known):
        extra = ",".join(sorted(set(sent) - set(known)))
        missing = ",".join(sorted(set(known) - set(sent)))
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(known)} len({{{','.join(sorted(sent))}}}) != "
            f"len({{{','.join(sorted(known))}}}). Sent extra: {{{extra}}}. Missing but required: {{{missing}}}."
        )
    for name in sent:
        if name not in known:
            raise invalid(
                f"input tensor alias not found in signature: {name}. "
                f"Inputs expected to be in the set {{{','.join(sorted(known))}}}."
            )


def _to_array(name: str, proto: Any, dtype: int, largest: int) -> np.ndarray:
    tf = tensorflow()
    wanted = tf.as_dtype(dtype)
    if proto.dtype != dtype:
        raise invalid(f"input {name}: expects {wanted.name} but {_type_name(proto.dtype, tf)} is provided")
    sizes = [dimension.size for dimension in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in sizes):
        raise invalid(f"input {name}: its shape must be known, and is {sizes}")
    # An element of text has 8 bytes in the array itself, a pointer.
    if math.prod(sizes) * max(wanted.size or 8, 1) > largest:
        raise ServingError("RESOURCE_EXHAUSTED", f"input {name}: the shape {sizes} has more than {largest} bytes")
    try:
        array: np.ndarray = tf.make_ndarray(proto)
    except (TypeError, ValueError) as error:
        raise invalid(f"input {name}: {error}") from error
    return array


def _type_name(dtype: int, tf: Any) -> str:
    try:
        name: str = tf.as_dtype(dtype).name
    except TypeError:
        return f"the unknown type {dtype}"
    return name
