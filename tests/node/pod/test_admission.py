"""Whether a pod fits on the node: its requests, and the resource that is short."""

from kf_spawner.localcluster.node.pod.admission import requests, shortage


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
