"""How this process imports TensorFlow, which takes seconds: the first call, in a thread."""

import sys
from types import ModuleType
from typing import Any, cast


def tensorflow() -> Any:
    """The module `tensorflow`, without Keras.

    TensorFlow imports Keras for its optimizers, which is half of its import. A graph needs none of it.
    """
    sys.modules.setdefault("keras", cast(ModuleType, None))
    import tensorflow as tf

    return tf
