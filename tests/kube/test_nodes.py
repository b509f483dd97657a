"""When a pod's node owes an answer."""

from datetime import UTC, datetime

import pytest

from kf_spawner.kube.nodes import is_overdue

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
ON_NODE = {"nodeName": "one"}


@pytest.mark.parametrize(
    ("metadata", "spec", "overdue"),
    [
        ({}, ON_NODE, False),
        ({"deletionTimestamp": "2026-01-01T12:00:01Z"}, ON_NODE, False),
        ({"deletionTimestamp": "2026-01-01T12:00:00Z"}, ON_NODE, True),
        ({"deletionTimestamp": "2026-01-01T11:59:00Z"}, {}, False),
    ],
    ids=["not deleted", "in its grace", "past its grace", "on no node"],
)
def test_is_overdue(metadata, spec, overdue):
    assert is_overdue({"metadata": metadata, "spec": spec}, NOW) is overdue
