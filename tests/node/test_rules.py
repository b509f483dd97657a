"""The rules of a pod's life without any process: phases, conditions, restarts, back-off, admission, devices."""

from pathlib import Path

import pytest

from kf_spawner.localcluster.node import machine, registration
from kf_spawner.localcluster.node.admission import requests, shortage
from kf_spawner.localcluster.node.devices import Devices, NoDevice
from kf_spawner.localcluster.node.probes import Timing, Verdict
from kf_spawner.localcluster.node.restarts import INIT, MAIN, SIDECAR, Backoff, kind_of, restarts
from kf_spawner.localcluster.node.runner import duration
from kf_spawner.localcluster.node.status import (
    ContainerView,
    PodView,
    patch_of,
    phase_of,
    pod_status,
    rfc3339,
    running,
    waiting,
)

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


def test_durations_in_kubernetes_words() -> None:
    assert [duration(seconds) for seconds in (10, 20, 80, 160, 300)] == ["10s", "20s", "1m20s", "2m40s", "5m0s"]


def test_verdict_needs_its_threshold_in_a_row() -> None:
    verdict = Verdict(Timing.of({"failureThreshold": 2, "successThreshold": 2}), opinion=True)
    results = [False, True, False, False, True, False, True, True]
    assert [verdict.add(result) for result in results] == [True, True, True, False, False, False, False, True]


def test_probe_defaults_are_a_kubelets() -> None:
    assert Timing.of({}) == Timing(initial_delay=0, period=10, timeout=1, successes=1, failures=3)


def pod_with(*containers: dict, **spec: object) -> dict:
    parts = [{"name": f"c{index}", "resources": resources} for index, resources in enumerate(containers)]
    return {"metadata": {"uid": "u"}, "spec": {"containers": parts, **spec}}


def test_requests_are_a_pods_containers_or_its_largest_init_container() -> None:
    init = [
        {"name": "a", "resources": {"requests": {"cpu": "1"}}},
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "250m"}}},
        {"name": "b", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}},
    ]
    pod = pod_with({"requests": {"cpu": "500m"}}, {"limits": {"cpu": "1"}}, initContainers=init)
    assert {name: float(value) for name, value in requests(pod).items()} == {"cpu": 2.25, "memory": 2**30, "pods": 1}


def test_shortage_counts_what_others_have() -> None:
    other, new = pod_with({"requests": {"cpu": "1500m"}}), pod_with({"requests": {"cpu": "1"}})
    room = {"cpu": "2", "pods": "2"}
    assert shortage(new, [], room) is None
    assert shortage(new, [other], room) == (
        "OutOfcpu",
        "Node didn't have enough resource: cpu, requested: 1000, used: 1500, capacity: 2000",
    )
    assert shortage(pod_with({}), [other, other], room) == (
        "OutOfpods",
        "Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2",
    )


def test_devices_are_remembered_by_the_next_node(tmp_path: Path) -> None:
    pod = pod_with({"limits": {"nvidia.com/gpu": "1"}}, {"limits": {"nvidia.com/gpu": "2"}})
    (tmp_path / "pods" / "u").mkdir(parents=True)
    first = Devices(tmp_path)
    first.add([0, 1, 2, 3])
    given = first.allocate(pod)
    assert given == {"c0": [0], "c1": [1, 2]}
    second = Devices(tmp_path)
    second.add([0, 1, 2, 3])
    assert second.allocate(pod) == given
    with pytest.raises(NoDevice, match=r"2 nvidia\.com/gpu requested for container c1, 0 free"):
        second.allocate({**pod, "metadata": {"uid": "other"}})
    second.release("u")
    assert Devices(tmp_path).allocate(pod_with({})) == {}


def test_gpus_as_nvidia_smi_lists_them() -> None:
    listing = "0, NVIDIA H100 80GB HBM3\n1, NVIDIA H100 80GB HBM3\n"
    assert [(gpu.index, gpu.product) for gpu in machine.parse_gpus(listing)] == [
        (0, "NVIDIA H100 80GB HBM3"),
        (1, "NVIDIA H100 80GB HBM3"),
    ]
    assert machine.parse_gpus("No devices were found\n") == []
    labels = registration.node_labels("n", machine.parse_gpus(listing))
    assert labels["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"


def test_capacity_and_what_pods_may_have_of_it() -> None:
    whole = registration.capacity(cpus=2, memory=8 << 30, disk=1 << 40, pods=110, gpus=[])
    assert whole == {"cpu": "2", "memory": "8388608Ki", "ephemeral-storage": "1073741824Ki", "pods": "110"}
    assert registration.allocatable(whole, reserved_memory=1 << 30)["memory"] == "7340032Ki"


def test_node_conditions_keep_the_moment_of_their_last_change() -> None:
    first = registration.conditions([], now="then")
    later = registration.conditions(first, now="now")
    assert {entry["lastTransitionTime"] for entry in later} == {"then"}
    assert {entry["lastHeartbeatTime"] for entry in later} == {"now"}
    stopped = {entry["type"]: entry for entry in registration.conditions(later, now="end", ready=False)}
    assert (stopped["Ready"]["status"], stopped["Ready"]["lastTransitionTime"]) == ("False", "end")


def test_times_are_the_apis() -> None:
    assert rfc3339(1_767_323_045_999_999_999) == "2026-01-02T03:04:05Z"
