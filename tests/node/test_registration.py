"""What the Node object says: capacity, allocatable resources, conditions."""

import re

from kf_spawner.localcluster.controlplane.build import CONTROL_PLANE, FLAGS
from kf_spawner.localcluster.node import registration


def test_the_version_is_that_of_the_control_plane() -> None:
    pins = (CONTROL_PLANE.folder / "go.mod").read_text()
    wanted = re.findall(r"^\tk8s\.io/kubernetes (v\S+)$", pins, re.MULTILINE)
    assert wanted == [registration.KUBELET_VERSION]
    assert set(re.findall(r"gitVersion=(\S+)", " ".join(FLAGS))) == set(wanted)


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
