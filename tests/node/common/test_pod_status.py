"""The status of a pod from its containers: phase, failure, patch, times."""

import pytest

from kf_spawner.k8s import times
from kf_spawner.localcluster.node.common.pod_status import (
    ContainerView,
    PodView,
    patch_of,
    phase_of,
    pod_status,
    running,
    waiting,
)
from kf_spawner.localcluster.node.common.restarts import MAIN

NOW = "2026-01-02T03:04:05Z"


def view(kind: str, what: str, **fields: object) -> ContainerView:
    """`what`: new, up, back-off (after exit 1), or an exit code."""
    ended = {"terminated": {"exitCode": int(what) if what.isdigit() else 1}}
    states = {"new": waiting("ContainerCreating"), "up": running(NOW), "back-off": waiting("CrashLoopBackOff")}
    last = ended if what == "back-off" else {}
    return ContainerView(
        name=f"{kind}-{what}", image="i", kind=kind, state=states.get(what, ended), last_state=last, **fields
    )  # type: ignore[arg-type]


PHASES = [
    # containers, restart policy, over, phase
    (["new"], "Always", False, "Pending"),
    (["up"], "Always", False, "Running"),
    (["up", "new"], "Always", False, "Pending"),
    (["up", "0"], "Never", False, "Running"),
    (["0"], "Always", False, "Running"),
    (["back-off"], "Always", False, "Running"),
    (["0", "0"], "Never", True, "Succeeded"),
    (["0", "3"], "Never", True, "Failed"),
    (["new"], "Never", True, "Failed"),
    (["init:new", "new"], "Always", False, "Pending"),
    (["init:up", "new"], "Always", False, "Pending"),
    (["init:back-off", "new"], "Always", False, "Pending"),
    (["init:1", "new"], "Never", False, "Failed"),
    (["init:1", "new"], "OnFailure", False, "Pending"),
    (["init:0", "up"], "Never", False, "Running"),
    (["sidecar:new", "new"], "Always", False, "Pending"),
    (["sidecar:back-off", "up"], "Always", False, "Running"),
    (["sidecar:1", "0"], "Never", True, "Succeeded"),
]


@pytest.mark.parametrize(("words", "policy", "over", "phase"), PHASES)
def test_phase(words: list[str], policy: str, over: bool, phase: str) -> None:
    parts = [word.split(":") if ":" in word else ["main", word] for word in words]
    pod = PodView(containers=[view(kind, what) for kind, what in parts], host_ip="", started_at=NOW, over=over)
    assert phase_of(pod, policy) == phase


def test_failure_of_the_pod_beats_its_containers() -> None:
    pod = PodView(containers=[view(MAIN, "0")], host_ip="", started_at=NOW, over=True, failure=("Evicted", "x"))
    status = pod_status({"metadata": {}, "spec": {}}, pod, written={}, now=NOW)
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "Evicted", "x")


def test_patch_holds_what_changed_and_takes_away_what_is_no_more() -> None:
    assert patch_of({"phase": "Running", "a": [1]}, {"phase": "Running", "a": [1]}) == {}
    assert patch_of({"phase": "Running"}, {"phase": "Failed", "reason": "x"}) == {"phase": "Running", "reason": None}
    conditions = [{"type": "Ready", "reason": None}]
    assert patch_of({"conditions": conditions}, {"conditions": [{"type": "Ready"}]}) == {}


def test_times_are_the_apis() -> None:
    assert times.text_of_nanoseconds(1_767_323_045_999_999_999) == "2026-01-02T03:04:05Z"
