"""Which SavedModels a model server can serve, by what their graphs say of themselves. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SERVE = "serve"
"""The tag of a graph that is made for serving (`tf.saved_model.SERVING`)."""

SHOWN = 5
"""Most names in a message."""

_EXPORT = "save it with tf.saved_model.save(model, path, signatures=...) or, for Keras, with model.export(path)"
# TensorFlow's own ops have no `>` in their names. These packages are older than that rule.
_BEFORE_NAMESPACES = {"Sentencepiece": "tensorflow-text", "SimpleML": "tensorflow-decision-forests"}
_NAMESPACES = {"TFText": "tensorflow-text", "Addons": "tensorflow-addons", "IO": "tensorflow-io"}


@dataclass(frozen=True)
class GraphFacts:
    """A graph of a SavedModel: its tags, the signatures that can be called, and the names of the ops that it uses."""

    tags: frozenset[str]
    signatures: frozenset[str]
    ops: frozenset[str]


def problem(graphs: Sequence[GraphFacts]) -> str:
    """Why no model server can serve it, and what to do, as the rest of a sentence about it; empty if one may."""
    serving = [graph for graph in graphs if SERVE in graph.tags]
    if not serving:
        tags = " and ".join(sorted("{" + ", ".join(sorted(graph.tags)) + "}" for graph in graphs)) or "none"
        return f"has no graph with the tag {SERVE} (the tags are {tags}): {_EXPORT}"
    if not any(graph.signatures for graph in serving):
        return f"has no signature to call: {_EXPORT}"
    return ""


def foreign_ops(graphs: Iterable[GraphFacts]) -> str:
    """Which ops come from other packages than TensorFlow, as a sentence; empty if none is known to.

    An op of another package without a namespace (`PACKAGE>Op`) cannot be told from one of TensorFlow's own.
    """
    ops = sorted(op for graph in graphs if SERVE in graph.tags for op in graph.ops if _is_foreign(op))
    if not ops:
        return ""
    packages = sorted({package for op in ops if (package := _package(op))})
    names = ", ".join(ops[:SHOWN]) + (", …" if len(ops) > SHOWN else "")
    whose = f" ({', '.join(packages)})" if packages else ""
    return (
        f"the model uses ops that TensorFlow itself does not have{whose}: {names}. A model server without them "
        "cannot load it: export a model without them, or name an image that has them (image=)"
    )


def _is_foreign(op: str) -> bool:
    return ">" in op or op.startswith(tuple(_BEFORE_NAMESPACES))


def _package(op: str) -> str:
    namespace, mark, _ = op.partition(">")
    if mark:
        return _NAMESPACES.get(namespace, "")
    return next((package for start, package in _BEFORE_NAMESPACES.items() if op.startswith(start)), "")
