"""Inputs and outputs that are no single tensor: sparse and ragged ones are fed and answered by their parts.

JSON has no form for them, and TF Serving has none either. A part is named after the tensor: `y.values`, `y.indices`,
`y.dense_shape` of a sparse one, `y.values`, `y.row_splits` of a ragged one. One that is ragged in several dimensions
has `y.row_splits.0`, `y.row_splits.1`, …, the outermost first.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Part(NamedTuple):
    """A tensor in the graph. `dtype` is the number of TensorFlow's type."""

    tensor: str
    dtype: int


def parts(infos: Mapping[str, Any], tf: Any) -> dict[str, Part]:
    """The tensors behind a signature's inputs or outputs, which are given as TensorInfos by name."""
    found: dict[str, Part] = {}
    for name, info in infos.items():
        encoding = info.WhichOneof("encoding")
        if encoding == "coo_sparse":
            sparse, int64 = info.coo_sparse, tf.int64.as_datatype_enum
            found[f"{name}.values"] = Part(sparse.values_tensor_name, info.dtype)
            found[f"{name}.indices"] = Part(sparse.indices_tensor_name, int64)
            found[f"{name}.dense_shape"] = Part(sparse.dense_shape_tensor_name, int64)
        elif encoding == "composite_tensor":
            found.update(_of_composite(name, info.composite_tensor))
        else:
            found[name] = Part(info.name, info.dtype)
    return found


def _of_composite(name: str, composite: Any) -> dict[str, Part]:
    components = [Part(component.name, component.dtype) for component in composite.components]
    spec = composite.type_spec
    if spec.type_spec_class != spec.RAGGED_TENSOR_SPEC:
        return {f"{name}.{index}": part for index, part in enumerate(components)}
    values, *splits = components
    if len(splits) == 1:
        return {f"{name}.values": values, f"{name}.row_splits": splits[0]}
    return {f"{name}.values": values} | {f"{name}.row_splits.{index}": part for index, part in enumerate(splits)}
