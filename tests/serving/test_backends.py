"""Which pods answer for an endpoint, as a function of Services and pods."""

import random
from typing import Any

from kf_spawner.serving import Backends, backends, build
from tests.fixtures.loop_time import cpu_at_most


def service(namespace: str, name: str) -> dict[str, Any]:
    return build({"name": name, "claim": "c", "image": "i"}, namespace=namespace)[1]


def pod(namespace: str, name: str, address: str | None, *, ready: str = "True", **metadata: Any) -> dict[str, Any]:
    labels = build({"name": name, "claim": "c", "image": "i"}, namespace=namespace)[0]["metadata"]["labels"]
    return {
        "metadata": {"name": f"{name}-{address}", "namespace": namespace, "labels": labels, **metadata},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }


def test_ready_pods_of_the_own_namespace_only() -> None:
    pods = [
        pod("kf-a", "digits", "10.0.0.2"),
        pod("kf-a", "digits", "10.0.0.1"),
        pod("kf-a", "digits", "10.0.0.3", ready="False"),
        pod("kf-a", "digits", "10.0.0.4", deletionTimestamp="now"),
        pod("kf-a", "digits", None),
        pod("kf-a", "other", "10.0.0.5"),
        pod("kf-b", "digits", "10.0.0.6"),
    ]
    assert backends([service("kf-a", "digits")], pods) == [Backends("kf-a", "digits", ("10.0.0.1", "10.0.0.2"), 8501)]


def test_an_endpoint_without_a_ready_pod_has_no_addresses() -> None:
    pods = [pod("kf-a", "digits", "10.0.0.1", ready="False")]
    assert backends([service("kf-a", "digits")], pods) == [Backends("kf-a", "digits", ())]


def test_services_that_are_no_endpoints_are_left_out() -> None:
    plain = service("kf-a", "plain")
    plain["metadata"]["labels"] = {}
    misnamed = service("kf-a", "misnamed")
    misnamed["metadata"]["labels"]["kf-spawner.io/endpoint"] = "other"
    everything = service("kf-a", "everything")
    everything["spec"].pop("selector")
    leaving = service("kf-a", "leaving")
    leaving["metadata"]["deletionTimestamp"] = "now"
    assert backends([plain, misnamed, everything, leaving], []) == []


def test_the_order_of_objects_does_not_matter() -> None:
    services = [service(f"kf-{user}", name) for user in "abc" for name in ("x", "y")]
    pods = [pod(f"kf-{user}", name, f"10.0.{ord(user)}.{n}") for user in "abc" for name in ("x", "y") for n in (1, 2)]
    found = set()
    for seed in range(5):
        random.Random(seed).shuffle(services)
        random.Random(seed).shuffle(pods)
        found.add(tuple(backends(services, pods)))
    assert len(found) == 1


def test_many_services_and_pods_of_one_namespace_take_time_in_proportion() -> None:
    pods = [pod("kf-a", f"x{number}", f"10.0.{number // 250}.{number % 250}") for number in range(2000)]
    services = [service("kf-a", f"x{number}") for number in range(2000)]
    with cpu_at_most(0.5):
        found = backends(services, pods)
    assert [len(each.addresses) for each in found] == [1] * 2000
