"""GPUs are given to containers for the life of their pod, across restarts of the node."""

from pathlib import Path

import pytest

from kf_spawner.localcluster.node.container.devices import Devices, NoDevice


def pod_with_gpus(*counts: str) -> dict:
    """A pod with a container `c0`, `c1`, … for each count of GPUs."""
    containers = [
        {"name": f"c{index}", "resources": {"limits": {"nvidia.com/gpu": count}}}
        for index, count in enumerate(counts)
    ]
    return {"metadata": {"uid": "u"}, "spec": {"containers": containers}}


def test_devices_are_remembered_by_the_next_node(tmp_path: Path) -> None:
    pod = pod_with_gpus("1", "2")
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
    assert Devices(tmp_path).allocate(pod_with_gpus()) == {}
