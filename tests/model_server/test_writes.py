"""What a warm-up may run: no signature that changes a model's state, however deep in functions."""

from types import SimpleNamespace
from typing import Any

import pytest

from kf_spawner.model_server.writes import Writes


def node(name: str, op: str, *inputs: str, calls: str = "") -> Any:
    function = SimpleNamespace(
        HasField=lambda field: bool(calls), func=SimpleNamespace(name=calls), list=SimpleNamespace(func=[])
    )
    return SimpleNamespace(name=name, op=op, input=inputs, attr={"f": function})


def function(name: str, *nodes: Any) -> Any:
    return SimpleNamespace(signature=SimpleNamespace(name=name), node_def=nodes)


GRAPH = SimpleNamespace(
    node=[
        node("x", "Placeholder"),
        node("init", "AssignVariableOp", "x"),
        node("nd", "ScatterNd", "x"),
        node("pure", "Add", "x:0", "nd:0"),
        node("loop", "While", "pure", calls="body"),
        node("after", "Identity", "pure", "^add"),
        node("add", "AssignAdd", "x"),
        node("update", "ScatterNdUpdate", "x"),
        node("again", "PartitionedCall", "x", calls="itself"),
    ],
    library=SimpleNamespace(
        function=[
            function("body", node("call", "inner")),
            function("inner", node("insert", "LookupTableInsertV2")),
            function("itself", node("call", "StatefulPartitionedCall", calls="itself")),
        ]
    ),
)


@pytest.mark.parametrize(
    ("tensor", "changes"),
    [
        ("pure:0", False),
        ("nd:0", False),
        ("again:0", False),
        ("missing:0", False),
        ("loop:0", True),
        ("after:0", True),
        ("update:0", True),
        ("init", True),
    ],
)
def test_what_changes_a_models_state(tensor: str, changes: bool) -> None:
    assert Writes(GRAPH).reached_from([tensor]) is changes
