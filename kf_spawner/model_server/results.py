"""Classify and regress: which signatures can, and their outputs -> the JSON of the answer. Pure.

`{"results": [[["label", 0.2], ...], ...]}` for classify, `{"results": [3.5, ...]}` for regress.
"""

import json
from collections.abc import Collection, Mapping

import numpy as np

from .errors import invalid
from .plain import plain

INPUT = "inputs"
"""The input that takes the serialized examples."""


def check_signature(verb: str, inputs: Collection[str], outputs: Collection[str]) -> None:
    """Raises `ServingError` if a signature of these inputs and outputs cannot classify or regress."""
    what = "classification" if verb == "classify" else "regression"
    if len(inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if verb == "regress" and len(outputs) != 1:
        raise invalid("Expected one output Tensor.")
    if len(outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(outputs)}")
    if INPUT not in inputs:
        raise invalid(f"No {what} inputs found in SignatureDef: its input is {', '.join(inputs)}, not {INPUT}")
    if verb == "regress" and "outputs" not in outputs:
        raise invalid(f"No regression outputs found in SignatureDef: its output is {', '.join(outputs)}")
    if verb == "classify" and not {"classes", "scores"} & set(outputs):
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Its outputs are: {', '.join(sorted(outputs))}"
        )


def check_outputs(verb: str, arrays: Mapping[str, np.ndarray], examples: int) -> None:
    """Raises `ServingError` if the model's outputs do not have one result an example."""
    if verb == "regress":
        _check_regression(arrays["outputs"], examples)
        return
    classes, scores = arrays.get("classes"), arrays.get("scores")
    for name, array, is_right, type_name in (
        ("classes", classes, classes is not None and classes.dtype.kind in "OSU", "DT_STRING"),
        ("scores", scores, scores is not None and scores.dtype == np.float32, "DT_FLOAT"),
    ):
        if array is None:
            continue
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_show(array)}")
        if not is_right:
            raise invalid(f"Expected {name} Tensor of {type_name}. Got: {array.dtype.name}")
        if len(array) != examples:
            raise invalid(f"Expected {name} output batch size of {examples}. Got: {len(array)}")
    if classes is not None and scores is not None and classes.shape != scores.shape:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )


def _check_regression(array: np.ndarray, examples: int) -> None:
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_show(array)}"
        )
    if len(array) != examples:
        raise invalid(f"Input batch size did not match output batch size: {examples} vs. {len(array)}")
    if array.dtype != np.float32:
        raise invalid(f"Expected output Tensor of DT_FLOAT.  Got: {array.dtype.name}")


def to_json(verb: str, arrays: Mapping[str, np.ndarray]) -> bytes:
    """The answer's body, of outputs that `check_outputs` took."""
    if verb == "regress":
        return json.dumps({"results": plain("outputs", arrays["outputs"].ravel())}).encode()
    return json.dumps({"results": classifications(arrays)}).encode()


def classifications(arrays: Mapping[str, np.ndarray]) -> list[list[tuple[str, float]]]:
    """For each example its labels and scores. Without classes the labels are empty, without scores all are 0."""
    shape = next(arrays[name] for name in ("classes", "scores") if name in arrays).shape
    labels = plain("classes", arrays.get("classes", np.full(shape, b"", dtype=object)))
    scores = plain("scores", arrays.get("scores", np.zeros(shape)))
    return [list(zip(*each, strict=True)) for each in zip(labels, scores, strict=True)]


def _show(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
