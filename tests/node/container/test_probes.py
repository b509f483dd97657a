"""Thresholds and defaults of probes."""

from kf_spawner.localcluster.node.container.probes import Timing, Verdict


def test_verdict_needs_its_threshold_in_a_row() -> None:
    verdict = Verdict(Timing.of({"failureThreshold": 2, "successThreshold": 2}), opinion=True)
    results = [False, True, False, False, True, False, True, True]
    assert [verdict.add(result) for result in results] == [True, True, True, False, False, False, False, True]


def test_probe_defaults_are_a_kubelets() -> None:
    assert Timing.of({}) == Timing(initial_delay=0, period=10, timeout=1, successes=1, failures=3)
