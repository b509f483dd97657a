"""Who may reach which part and port, by the NetworkPolicies of the release and of users' namespaces."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

import pytest

from kf_spawner.spawner import manifests
from tests.fixtures.helm import only, settings

PARTS = ("door", "proxy", "hub", "operator", "dashboard")
METADATA = {
    "all clouds": "169.254.169.254",
    "tasks of ECS": "169.254.170.2",
    "pods of EKS": "169.254.170.23",
    "Oracle's storage": "169.254.2.2",
    "Azure": "168.63.129.16",
    "Alibaba": "100.100.100.200",
    "AWS": "fd00:ec2::254",
    "pods of EKS in IPv6": "fd00:ec2::23",
    "Google": "fd20:ce::254",
    "OpenStack": "fe80::a9fe:a9fe",
    "any link": "febf::1",
}
"""Addresses that give a pod its node's identity, or its link's neighbours, by who answers there."""
EVERYWHERE = METADATA["all clouds"]


@dataclass
class Pod:
    """A pod as policies see it."""

    namespace: str
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def namespace_labels(self) -> dict[str, str]:
        ours = manifests.MANAGED if self.namespace.startswith("kf-") else {}
        return {**ours, "kubernetes.io/metadata.name": self.namespace}


def example_pods(objects: list[dict]) -> dict[str, Pod]:
    """The pods of the tests, by name."""
    templates = {part: only(objects, "Deployment", part)["spec"]["template"]["metadata"] for part in PARTS}
    return {
        **{part: Pod("hubs", template["labels"]) for part, template in templates.items()},
        "ada's server": Pod("kf-ada", {"component": "singleuser-server"}),
        "ada's endpoint": Pod("kf-ada", {"kf-spawner.io/endpoint": "digits"}),
        "grace's server": Pod("kf-grace", {"component": "singleuser-server"}),
        "grace's replica": Pod("kf-grace", {"training.kubeflow.org/job-name": "mnist"}),
        "another door": Pod("default", templates["door"]["labels"]),
        "somebody": Pod("default", {"component": "singleuser-server"}),
    }


def policies(objects: list[dict], namespace: str) -> list[dict]:
    """The specs of what holds in a namespace: the chart's in the release's, the hub's in a user's."""
    if namespace == "hubs":
        return [obj["spec"] for obj in objects if obj["kind"] == "NetworkPolicy"]
    spec = settings(objects)["KubeflowSpawner"].get("network_policy")
    return [manifests.network_policy(namespace, spec)["spec"]] if spec and namespace.startswith("kf-") else []


def selects(selector: dict, labels: dict[str, str]) -> bool:
    assert selector.keys() <= {"matchLabels"}, "this test reads no other selectors"
    return selector.get("matchLabels", {}).items() <= labels.items()


def is_peer(peer: dict, pod: Pod, at_home: bool) -> bool:
    if "namespaceSelector" in peer:
        known = selects(peer["namespaceSelector"], pod.namespace_labels)
    else:
        known = at_home and "podSelector" in peer
    return known and selects(peer.get("podSelector", {}), pod.labels)


def is_open(rule: dict, port: int, protocol: str = "TCP") -> bool:
    return "ports" not in rule or {"port": port, "protocol": protocol} in rule["ports"]


def who_may_reach(objects: list[dict], target: str, port: int) -> set[str]:
    pods = example_pods(objects)
    pod = pods[target]
    holding = [
        spec
        for spec in policies(objects, pod.namespace)
        if "Ingress" in spec["policyTypes"] and selects(spec["podSelector"], pod.labels)
    ]
    if not holding:
        return set(pods)
    rules = [rule for spec in holding for rule in spec.get("ingress", [])]
    return {
        name
        for name, source in pods.items()
        for rule in rules
        if is_open(rule, port)
        and ("from" not in rule or any(is_peer(p, source, source.namespace == pod.namespace) for p in rule["from"]))
    }


EVERYBODY = {
    *PARTS,
    *("ada's server", "ada's endpoint", "grace's server", "grace's replica", "another door", "somebody"),
}
ADAS = {"ada's server", "ada's endpoint", "hub", "proxy", "door"}
TABLE: dict[tuple[str, int], set[str]] = {
    ("door", 8000): EVERYBODY,
    ("door", 8002): set(),
    ("proxy", 8000): {"door"},
    ("proxy", 8001): {"hub"},
    ("hub", 8081): {"proxy", "door", "dashboard", "ada's server", "grace's server"},
    ("operator", 8085): set(),
    ("dashboard", 8090): {"proxy"},
    ("ada's server", 8888): ADAS,
    ("ada's endpoint", 8501): ADAS,
}
WITH_A_CERTIFICATE = {("door", 8443): EVERYBODY, ("door", 8080): EVERYBODY}
HTTPS = {"proxy": {"https": {"enabled": True, "secret": {"name": "tls"}}}}


@pytest.mark.parametrize(("values", "more"), [({}, {}), (HTTPS, WITH_A_CERTIFICATE)], ids=["http", "https"])
def test_who_may_reach_what(renderer, values, more):
    objects = renderer.render(values)
    table = {**TABLE, **more}
    assert {place: who_may_reach(objects, *place) for place in table} == table
    for part in PARTS:
        containers = only(objects, "Deployment", part)["spec"]["template"]["spec"]["containers"]
        assert {port["containerPort"] for port in containers[0]["ports"]} == {p for name, p in table if name == part}


def test_a_rule_of_ones_own_is_added(renderer):
    rule = {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}]}
    parts = ("hub", "operator", "singleuser")
    objects = renderer.render({part: {"networkPolicy": {"ingress": [rule]}} for part in parts})
    for place in (("hub", 8081), ("operator", 8085), ("ada's server", 8888)):
        assert who_may_reach(objects, *place) == TABLE[place] | {"somebody", "another door"}


def test_without_a_policy_everybody_may(renderer):
    objects = renderer.render({part: {"networkPolicy": {"enabled": False}} for part in ("hub", "singleuser")})
    for place in (("hub", 8081), ("ada's endpoint", 8501)):
        assert who_may_reach(objects, *place) == EVERYBODY


def reaches(objects: list[dict], address: str, port: int, protocol: str = "TCP") -> bool:
    """Whether a user's pod may reach an address outside the pods' network."""
    (spec,) = policies(objects, "kf-ada")

    def covers(block: dict) -> bool:
        networks = [ip_network(block["cidr"]), *(ip_network(each) for each in block.get("except", []))]
        return [ip_address(address) in network for network in networks] == [True] + [False] * (len(networks) - 1)

    return any(
        is_open(rule, port, protocol)
        and ("to" not in rule or any(covers(peer["ipBlock"]) for peer in rule["to"] if "ipBlock" in peer))
        for rule in spec["egress"]
    )


def test_a_users_pods_reach_all_but_the_clouds_metadata(renderer):
    objects = renderer.render()
    assert [who for who, address in METADATA.items() if reaches(objects, address, 80)] == []
    # Names are asked for at that address on some clouds.
    assert reaches(objects, EVERYWHERE, 53, "UDP")
    for near in ("10.0.0.7", "169.253.255.255", "169.255.0.0", "2001:db8::7", "fd00:ec3::1", "fec0::1"):
        assert reaches(objects, near, 5432)
    (spec,) = policies(objects, "kf-ada")
    assert {"namespaceSelector": {}} in spec["egress"][0]["to"], "a pod is in no block, say some networks"
    rule = {"to": [{"ipBlock": {"cidr": f"{EVERYWHERE}/32"}}]}
    assert reaches(renderer.render({"singleuser": {"networkPolicy": {"egress": [rule]}}}), EVERYWHERE, 80)
