"""The first predictions of a model, made before it is served: they take a hundred times as long as the later ones.

They are the requests that were recorded in the model's folder, as in TF Serving. Where there are none, it is one
prediction of zeros for each signature. A prediction that fails is logged, and the model is served.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from . import results
from .signature import Signature
from .tensors import DEFAULT_SIGNATURE
from .writes import Writes

log = logging.getLogger(__name__)

FILE = Path("assets.extra", "tf_serving_warmup_requests")
MOST_RECORDS = 1000
"""Requests of a file that are used; TF Serving refuses a file with more."""
MOST_ZEROS = 2**24
"""Numbers of an input of zeros. A signature that takes more is left out, to limit memory."""

Requests = Iterator[tuple[str, dict[str, np.ndarray]]]
"""A signature's name and what to feed it."""


def warm_up(path: Path, signatures: Mapping[str, Signature], graph: Any, writes: Writes, tf: Any) -> None:
    """Runs the signatures of the model in the folder `path`, whose session has `graph`."""
    started = time.monotonic()
    recorded = (path / FILE).is_file()
    requests = _recorded(path / FILE, tf) if recorded else _zeros(signatures, graph, writes)
    count = 0
    try:
        for name, arrays in requests:
            count += _run(signatures, name, arrays)
    except Exception as error:  # TensorFlow's or protobuf's, for a file that holds something else
        log.warning("the warm-up requests in %s cannot be used: %s", FILE, error)
    source = f"from {FILE}" if recorded else "of zeros"
    log.info("warmed up by %d predictions %s in %.1f s", count, source, time.monotonic() - started)


def _run(signatures: Mapping[str, Signature], name: str, arrays: dict[str, np.ndarray]) -> bool:
    if name not in signatures:
        log.warning("there is no signature %s, which a warm-up request asks for", name)
        return False
    try:
        signatures[name](arrays)
    except Exception as error:  # whatever the model's operations say
        log.info("signature %s is not warmed up: %s", name, str(error).partition("\n")[0][:300])
        return False
    return True


def _zeros(signatures: Mapping[str, Signature], graph: Any, writes: Writes) -> Requests:
    for name, signature in signatures.items():
        if writes.reached_from(signature.fetches.values()):
            continue  # a prediction that nobody asked for must not change a model's state
        shapes = {key: graph.get_tensor_by_name(tensor).shape for key, tensor in signature.feeds.items()}
        if any(shape.rank is None for shape in shapes.values()):
            continue
        sizes = {key: [size or 1 for size in shape.as_list()] for key, shape in shapes.items()}
        if max(map(prod, sizes.values()), default=0) <= MOST_ZEROS:
            yield name, {key: _zero(sizes[key], dtype) for key, dtype in signature.dtypes.items()}


def _zero(sizes: list[int], dtype: str) -> np.ndarray:
    return np.full(sizes, b"", dtype=object) if dtype == "string" else np.zeros(sizes, dtype=dtype)


def _recorded(file: Path, tf: Any) -> Requests:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    records = tf.compat.v1.io.tf_record_iterator(str(file))
    for _, record in zip(range(MOST_RECORDS), records, strict=False):
        entry = PredictionLog.FromString(record)
        kind = entry.WhichOneof("log_type")
        if kind == "predict_log":
            request = entry.predict_log.request
            arrays = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
        elif kind in ("classify_log", "regress_log"):
            request = getattr(entry, kind).request
            arrays = {results.INPUT: np.array(_examples(request.input), dtype=object)}
        else:
            log.warning("a warm-up request is of a kind that is not served: %s", kind)
            continue
        yield request.model_spec.signature_name or DEFAULT_SIGNATURE, arrays


def _examples(sent: Any) -> list[bytes]:
    with_context = sent.example_list_with_context
    context = with_context.context.SerializeToString()
    examples = with_context.examples or sent.example_list.examples
    return [context + example.SerializeToString() for example in examples]
