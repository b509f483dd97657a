"""An array -> lists that `json` can write. Pure."""

import base64
from typing import Any

import numpy as np

from .errors import invalid


def plain(name: str, array: np.ndarray) -> Any:
    """The lists. Strings are bytes if the tensor's name ends in `_bytes`, else text. Raises `ServingError`."""
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
