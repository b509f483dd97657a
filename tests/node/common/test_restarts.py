"""Whether a container that ended starts again, and after which pause."""

import pytest

from kf_spawner.localcluster.node.common.restarts import INIT, MAIN, SIDECAR, Backoff, kind_of, restarts

RESTARTS = [
    # pod's policy, kind, exit code, again
    ("Always", MAIN, 0, True),
    ("Always", MAIN, 1, True),
    ("OnFailure", MAIN, 0, False),
    ("OnFailure", MAIN, 1, True),
    ("Never", MAIN, 1, False),
    ("Always", INIT, 0, False),
    ("Always", INIT, 1, True),
    ("Never", INIT, 1, False),
    ("Never", SIDECAR, 0, True),
]


@pytest.mark.parametrize(("policy", "kind", "code", "again"), RESTARTS)
def test_restart(policy: str, kind: str, code: int, again: bool) -> None:
    assert restarts(pod_policy=policy, container={}, kind=kind, code=code) is again


def test_what_was_ended_from_outside_starts_again_unless_never() -> None:
    assert restarts(pod_policy="OnFailure", container={}, kind=MAIN, code=0, forced=True)
    assert not restarts(pod_policy="Never", container={}, kind=MAIN, code=0, forced=True)


def test_rules_by_exit_code() -> None:
    rule = {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [3]}}
    container = {"restartPolicy": "Never", "restartPolicyRules": [rule]}
    assert restarts(pod_policy="Always", container=container, kind=MAIN, code=4)
    assert not restarts(pod_policy="Always", container=container, kind=MAIN, code=3)


def test_an_init_container_that_restarts_always_is_a_sidecar() -> None:
    assert kind_of({"restartPolicy": "Always"}, is_init=True) == SIDECAR
    assert kind_of({}, is_init=True) == INIT
    assert kind_of({"restartPolicy": "Always"}, is_init=False) == MAIN


def test_crash_back_off_doubles_to_five_minutes_and_starts_anew_after_ten_good_ones() -> None:
    backoff = Backoff()
    assert [backoff.after() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    assert [backoff.after(ran=601), backoff.after(), backoff.after(ran=599)] == [0, 10, 20]


def test_pull_back_off_begins_with_a_pause() -> None:
    backoff = Backoff(initial=10)
    assert [backoff.after() for _ in range(3)] == [10, 20, 40]
    backoff.reset()
    assert backoff.after() == 10
