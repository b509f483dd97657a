"""The door's routes as a function of Services and pods. What Traefik makes of them: tests/door."""

import json
import random
from typing import Any

from kf_spawner.serving import build, configuration

HUB = "http://127.0.0.1:8081/hub/kf/authorize"


def service(namespace: str, name: str) -> dict[str, Any]:
    return build({"name": name, "claim": "c", "image": "i"}, namespace=namespace)[1]


def pod(namespace: str, name: str, address: str | None, *, ready: str = "True", **metadata: Any) -> dict[str, Any]:
    labels = build({"name": name, "claim": "c", "image": "i"}, namespace=namespace)[0]["metadata"]["labels"]
    return {
        "metadata": {"name": f"{name}-{address}", "namespace": namespace, "labels": labels, **metadata},
        "status": {"podIP": address, "conditions": [{"type": "Ready", "status": ready}]},
    }


def servers(found: dict[str, Any]) -> dict[str, list[str]]:
    services = found.get("http", {}).get("services", {})
    return {key: [server["url"] for server in one["loadBalancer"]["servers"]] for key, one in services.items()}


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
    found = configuration([service("kf-a", "digits")], pods, authorize_url=HUB)
    assert servers(found) == {"endpoint-kf-a.digits": ["http://10.0.0.1:8501", "http://10.0.0.2:8501"]}


def test_every_route_asks_about_itself_first() -> None:
    found = configuration(
        [service("kf-a", "x"), service("kf-b", "x")], [pod("kf-a", "x", "10.0.0.1")], authorize_url=HUB
    )
    asked = {}
    for key, router in found["http"]["routers"].items():
        first = found["http"]["middlewares"][router["middlewares"][0]]
        asked[key] = first["forwardAuth"]["address"]
    assert asked == {"endpoint-kf-a.x": f"{HUB}/kf-a/x", "endpoint-kf-b.x": f"{HUB}/kf-b/x/unready"}


def test_names_that_join_to_the_same_text_do_not_collide() -> None:
    found = configuration([service("kf-a", "b-c"), service("kf-a-b", "c")], [], authorize_url=HUB)
    assert len(found["http"]["routers"]) == 2


def test_services_that_are_no_endpoints_get_no_route() -> None:
    plain = service("kf-a", "plain")
    plain["metadata"]["labels"] = {}
    misnamed = service("kf-a", "misnamed")
    misnamed["metadata"]["labels"]["kf-spawner.io/endpoint"] = "other"
    everything = service("kf-a", "everything")
    everything["spec"].pop("selector")
    leaving = service("kf-a", "leaving")
    leaving["metadata"]["deletionTimestamp"] = "now"
    assert configuration([plain, misnamed, everything, leaving], [], authorize_url=HUB) == {}


def test_the_order_of_the_world_does_not_matter() -> None:
    services = [service(f"kf-{user}", name) for user in "abc" for name in ("x", "y")]
    pods = [pod(f"kf-{user}", name, f"10.0.{ord(user)}.{n}") for user in "abc" for name in ("x", "y") for n in (1, 2)]
    texts = set()
    for seed in range(5):
        random.Random(seed).shuffle(services)
        random.Random(seed).shuffle(pods)
        texts.add(json.dumps(configuration(services, pods, authorize_url=HUB)))
    assert len(texts) == 1


def test_addresses_of_version_6() -> None:
    found = configuration([service("kf-a", "x")], [pod("kf-a", "x", "fd00::1")], authorize_url=HUB)
    assert servers(found) == {"endpoint-kf-a.x": ["http://[fd00::1]:8501"]}
