"""Which operations of a graph change the model's state: variables, tables, queues. Reads a GraphDef."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

_WRITER = re.compile(
    r"(Resource)?(Assign|Scatter(?!Nd$|NdNonAliasing)|SparseApply|Apply|StridedSliceAssign)"
    r"|.*(TableInsert|TableImport|TableRemove|Enqueue|Dequeue)|Stack(Push|Pop)|Barrier"
)


class Writes:
    """Made of the graph that a SavedModel holds; looks only at it, not at what a session has added."""

    def __init__(self, graph: Any) -> None:
        self._nodes = {node.name: (node.op, list(node.input), list(_functions(node))) for node in graph.node}
        self._bodies = {
            function.signature.name: [(node.op, list(_functions(node))) for node in function.node_def]
            for function in graph.library.function
        }

    def reached_from(self, tensors: Iterable[str]) -> bool:
        """Whether a run that fetches these tensors changes something."""
        return any(_WRITER.match(operation) for operation in self._operations(tensors))

    def _operations(self, tensors: Iterable[str]) -> Iterator[str]:
        pending, called = [_node(tensor) for tensor in tensors], []
        seen = set(pending)
        while pending:
            operation, inputs, functions = self._nodes.get(pending.pop(), ("", [], []))
            yield operation
            called += [operation, *functions]
            new = {_node(name) for name in inputs} - seen
            seen |= new
            pending += new
        known: set[str] = set()
        while called:
            name = called.pop()
            if name in known or name not in self._bodies:
                continue
            known.add(name)
            for operation, functions in self._bodies[name]:
                yield operation
                called += [operation, *functions]


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _functions(node: Any) -> Iterator[str]:
    """The functions that an operation calls, such as a loop's body."""
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)
