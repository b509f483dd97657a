"""The browser's types are those of the JSON that Python sends."""

from typing import Literal, NotRequired, TypedDict

import pytest

from kf_spawner.workloads import wire
from scripts import browser_types


def test_the_committed_types_are_those_of_the_wire():
    assert browser_types.TARGET.read_text() == browser_types.declarations(), "run `make browser-types`"


def test_fields_keep_whether_they_are_required_and_may_be_null(monkeypatch):
    class Sample(TypedDict):
        """What a sample holds."""

        name: str
        count: NotRequired[int | None]
        states: dict[str, wire.ReplicaState]
        kind: Literal["sample"]

    monkeypatch.setattr(wire, "Sample", Sample, raising=False)
    assert (
        "/** What a sample holds. */\n"
        "export interface Sample {\n"
        "  name: string;\n"
        "  count?: number | null;\n"
        "  states: Record<string, ReplicaState>;\n"
        '  kind: "sample";\n'
        "}\n"
    ) in browser_types.declarations()


def test_a_type_that_has_no_browser_type_is_named(monkeypatch):
    class Sample(TypedDict):
        names: set[str]

    monkeypatch.setattr(wire, "Sample", Sample, raising=False)
    with pytest.raises(TypeError, match=r"set\[str\]"):
        browser_types.declarations()
