"""One signature of a loaded SavedModel, as a function: arrays by input name -> arrays by output name."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .composite import parts


@dataclass(frozen=True)
class Signature:
    """Made by `callable_signature`.

    `dtypes`: TensorFlow's names of the inputs' types. `feeds` and `fetches`: the graph's tensors behind the names of
    inputs and outputs.
    """

    dtypes: dict[str, str]
    feeds: dict[str, str]
    fetches: dict[str, str]
    _fetched: list[str]
    _call: Any

    def __call__(self, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs it; safe from several threads. `arrays` holds every input. Raises TensorFlow's errors."""
        by_tensor = {tensor: arrays[name] for name, tensor in self.feeds.items()}
        by_tensor.update(zip(self._fetched, self._call(*by_tensor.values()), strict=True))
        return {name: np.asarray(by_tensor[tensor]) for name, tensor in self.fetches.items()}


def callable_signature(definition: Any, session: Any, timeout: float, tf: Any) -> Signature:
    """The signature of a SignatureDef, whose graph is in `session`. A call ends after `timeout` seconds.

    It is a callable of the session's: `Session.run` refuses arrays that do not have the placeholder's static shape.
    TensorFlow itself, and TF Serving with it, looks only at what the operations can take. A callable also takes a
    quarter less of the processor.
    """
    from tensorflow.core.protobuf.config_pb2 import CallableOptions  # TensorFlow has no public name for it

    inputs, outputs = parts(definition.inputs, tf), parts(definition.outputs, tf)
    feeds = {name: part.tensor for name, part in inputs.items()}
    fetches = {name: part.tensor for name, part in outputs.items()}
    # A callable takes each tensor once, and gives none that it takes.
    fed = list(dict.fromkeys(feeds.values()))
    fetched = [tensor for tensor in dict.fromkeys(fetches.values()) if tensor not in fed]
    options = CallableOptions(feed=fed, fetch=fetched)
    options.run_options.timeout_in_ms = int(timeout * 1000)
    dtypes = {name: tf.as_dtype(part.dtype).name for name, part in inputs.items()}
    return Signature(dtypes, feeds, fetches, fetched, session._make_callable_from_options(options))
