"""Durations in the messages of a container."""

from kf_spawner.localcluster.node.container.runner import duration


def test_durations_in_kubernetes_words() -> None:
    assert [duration(seconds) for seconds in (10, 20, 80, 160, 300)] == ["10s", "20s", "1m20s", "2m40s", "5m0s"]
