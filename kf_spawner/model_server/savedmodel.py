"""One loaded SavedModel: its signatures, its metadata and its predictions.

A model runs in a graph and session of its own, as in TF Serving: every signature of models of TensorFlow 1 and 2 can
be called, calls from several threads run side by side, and `close` gives the memory back.
"""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import examples, results, tensors
from .answers import to_json
from .errors import ServingError, invalid
from .import_tensorflow import tensorflow
from .second_process import LARGE, MANY, SecondProcess
from .signature import callable_signature
from .tags import choose
from .warm_up import warm_up
from .writes import Writes


@dataclass(frozen=True)
class Inputs:
    """What a request feeds: the arrays by input name. `form` is that of the answer: see `answers.to_json`."""

    signature: str
    form: str
    arrays: dict[str, np.ndarray]


@dataclass(frozen=True)
class Outputs:
    """What a prediction gives: the arrays by output name."""

    form: str
    arrays: dict[str, np.ndarray]

    @property
    def is_large(self) -> bool:
        """Whether to write them takes more than milliseconds."""
        arrays = self.arrays.values()
        return sum(array.size for array in arrays) > MANY or sum(map(_text_bytes, arrays)) > LARGE


class SavedModel:
    """Loads on construction, which takes seconds: call it in a thread. Raises `ServingError`.

    `second` reads large bodies and writes large answers; `timeout`: seconds that a prediction may run; `tags`: see
    `tags.choose`.
    """

    def __init__(self, path: Path, second: SecondProcess, *, timeout: float, tags: list[str] | None = None) -> None:
        tf = tensorflow()
        tf.get_logger().setLevel("ERROR")  # the loader's deprecation warning does not help a reader of the log
        self._tf, self._second = tf, second
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        try:
            graph = self._load(path, tags)
            self.definitions = dict(graph.signature_def)
            # A definition without a method name is internal to TensorFlow, such as the initialiser.
            own = {name: definition for name, definition in self.definitions.items() if definition.method_name}
            self.signatures = {
                name: callable_signature(definition, self._session, timeout, tf) for name, definition in own.items()
            }
        except Exception as error:
            self._session.close()
            raise _as_serving_error(error, tf, "it cannot be loaded") from error
        self._dtypes = {name: signature.dtypes for name, signature in self.signatures.items()}
        if not self.signatures:
            self._session.close()
            raise invalid(
                "it has no signature to call: save it with tf.saved_model.save(model, path, signatures=...) "
                "or, for Keras, with model.export(path)"
            )
        warm_up(path, self.signatures, self._session.graph, Writes(graph.graph_def), tf)
        spare_from_search()

    def read(self, verb: str, body: bytes) -> Inputs:
        """What a request's body feeds. One of more than LARGE bytes waits for the second process.

        `verb`: `predict`, `classify` or `regress`.
        """
        call = self._second.call if len(body) > LARGE else _call
        if verb != "predict":
            request = call(examples.read, body)
            # As TF Serving does it: of two messages one after the other, the later one's features win.
            context = self._serialized(request.context)
            serialized = [context + self._serialized(example) for example in request.examples]
            return self.of_examples(verb, request.signature_name, serialized)
        return Inputs(*call(tensors.read, body, self._dtypes))

    def of_examples(self, verb: str, signature_name: str, serialized: list[bytes]) -> Inputs:
        """What these `tf.Example`s feed to a signature; to the default one if its name is empty."""
        name = signature_name or tensors.DEFAULT_SIGNATURE
        if name not in self.signatures:
            known = ", ".join(sorted(self.signatures))
            raise invalid(f"No signature was found with the name: {name}; there are: {known}")
        signature = self.signatures[name]
        results.check_signature(verb, signature.dtypes, signature.fetches)
        return Inputs(name, verb, {results.INPUT: np.array(serialized, dtype=object)})

    def _serialized(self, features: examples.Features) -> bytes:
        train = self._tf.train
        made = {
            name: train.Feature(**({kind: {"value": values}} if kind else {}))
            for name, (kind, values) in features.items()
        }
        serialized: bytes = train.Example(features=train.Features(feature=made)).SerializeToString()
        return serialized

    def predict(self, inputs: Inputs) -> Outputs:
        """Blocks for at most the time-out; safe from several threads."""
        arrays = self.predict_arrays(inputs.signature, inputs.arrays)
        if inputs.form in ("classify", "regress"):
            results.check_outputs(inputs.form, arrays, len(inputs.arrays[results.INPUT]))
        return Outputs(inputs.form, arrays)

    def predict_arrays(self, signature: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """`predict` for a caller who has the arrays."""
        if signature not in self.signatures:
            raise ServingError("FAILED_PRECONDITION", f'Serving signature key "{signature}" not found.')
        try:
            return self.signatures[signature](arrays)
        except Exception as error:
            raise _as_serving_error(error, self._tf, "the prediction failed") from error

    def write(self, outputs: Outputs) -> bytes:
        """The answer's body. Large outputs wait for the second process."""
        if outputs.is_large:
            return self._second.call(to_json, outputs.arrays, outputs.form)
        return to_json(outputs.arrays, outputs.form)

    def metadata(self) -> dict[str, Any]:
        """Each signature's definition by its name, in TF Serving's JSON."""
        from google.protobuf.json_format import MessageToDict

        def written(definition: Any) -> dict[str, Any]:
            made: dict[str, Any] = MessageToDict(
                definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
            return made

        return {name: written(definition) for name, definition in sorted(self.definitions.items())}

    def close(self) -> None:
        """Frees the model. No request may use it."""
        self._session.close()
        self.signatures = {}
        del self._session  # its graph is made of cycles
        spare_from_search()

    def _load(self, path: Path, tags: list[str] | None) -> Any:
        """Loads it into the session; returns its MetaGraphDef."""
        load = self._tf.compat.v1.saved_model.loader.load
        with self._session.graph.as_default():
            return load(self._session, choose(path, tags, self._tf), str(path))


def _call(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


def spare_from_search() -> None:
    """Frees what nothing refers to, and spares the rest from the search for garbage.

    A search holds all threads while it walks TensorFlow's objects, most of which stay. What was spared before may
    have become garbage: the graph of a model that was closed.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _text_bytes(array: np.ndarray) -> int:
    return sum(map(len, array.ravel().tolist())) if array.dtype.kind in "OSU" else 0


def _as_serving_error(error: Exception, tf: Any, what: str) -> ServingError:
    """TensorFlow's error as ours: its code and cause, without the graph's nodes."""
    if isinstance(error, tf.errors.OpError):
        codes = {getattr(tf.errors, name): name for name in dir(tf.errors) if name.isupper()}
        code, message = codes.get(error.error_code, "UNKNOWN"), error.message
    elif isinstance(error, ServingError):
        code, message = error.code, error.message
    elif isinstance(error, ValueError | TypeError | OSError):
        code, message = "INVALID_ARGUMENT", str(error)
    else:
        code, message = "INTERNAL", f"{type(error).__name__}: {error}"
    return ServingError(code, f"{what}: {_essence(message or '') or type(error).__name__}")


def _essence(message: str) -> str:
    """The last line before the first `[[node]]`: TensorFlow puts the cause there, after headings and stack traces."""
    lines = [line.strip() for line in message.partition("[[")[0].splitlines() if line.strip()]
    return lines[-1][:1000] if lines else ""
