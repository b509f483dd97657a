"""The door's routes as a function of endpoints' backends. What Traefik makes of them: test_door.py."""

from typing import Any

from kf_spawner.door.dynamic import Certificate, Targets, dynamic
from kf_spawner.serving import Backends

ASKED = "http://127.0.0.1:8004"
TARGETS = Targets("http://127.0.0.1:8001", ASKED, "door-secret")


def of_endpoints(part: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key.startswith("endpoint-")}


def test_every_route_asks_about_itself_first() -> None:
    http = dynamic(TARGETS, [Backends("kf-a", "x", ("10.0.0.1",)), Backends("kf-b", "x", ())])["http"]
    asked = {}
    for key, router in of_endpoints(http["routers"]).items():
        # Before the question there is only what replaces the text of an answer.
        before = [] if key.endswith(".grpc") else ["serving-unanswered"]
        assert router["middlewares"][: len(before)] == before
        asked[key] = http["middlewares"][router["middlewares"][len(before)]]["forwardAuth"]["address"]
    assert asked == {
        "endpoint-kf-a.x": f"{ASKED}/kf-a/x",
        "endpoint-kf-a.x.grpc": f"{ASKED}/kf-a/x",
        "endpoint-kf-b.x": f"{ASKED}/kf-b/x/unready",
        "endpoint-kf-b.x.grpc": f"{ASKED}/kf-b/x/unready",
    }


def test_where_requests_go() -> None:
    found = [Backends("kf-a", "x", ("10.0.0.1", "fd00::1"), 8501), Backends("kf-b", "x", ())]
    http = dynamic(TARGETS, found)["http"]
    servers = {key: one["loadBalancer"]["servers"] for key, one in http["services"].items()}
    assert servers == {
        "hub": [{"url": "http://127.0.0.1:8001"}],
        "authorizer": [{"url": ASKED}],
        "endpoint-kf-a.x": [{"url": "http://10.0.0.1:8501"}, {"url": "http://[fd00::1]:8501"}],
        "endpoint-kf-a.x.grpc": [{"url": "h2c://10.0.0.1:8500"}, {"url": "h2c://[fd00::1]:8500"}],
    }
    assert http["routers"]["endpoint-kf-a.x"]["rule"] == "PathPrefix(`/serving/kf-a/x/`)"
    assert http["routers"]["endpoint-kf-b.x"]["service"] == "noop@internal"


def test_where_users_have_domains_an_endpoint_is_at_none_of_them() -> None:
    http = dynamic(TARGETS, [Backends("kf-a", "x", ())], hub_domain="hub.example.com")["http"]
    names = "!Host(`hub.example.com`) && (!HostRegexp(`^[^.]+[.]hub\\.example\\.com[.]?$`) || "
    names += "Host(`serving--service.hub.example.com`)) && "
    assert http["routers"]["endpoint-kf-a.x"]["rule"] == f"{names}PathPrefix(`/serving/kf-a/x/`)"
    assert http["routers"]["serving"]["rule"] == f"{names}(Path(`/serving`) || PathPrefix(`/serving/`))"


def test_names_that_join_to_the_same_text_do_not_collide() -> None:
    http = dynamic(TARGETS, [Backends("kf-a", "b-c", ()), Backends("kf-a-b", "c", ())])["http"]
    assert len(of_endpoints(http["routers"])) == 4  # one for REST and one for gRPC each


def test_until_endpoints_are_known_the_hub_is_there_and_ping_is_not() -> None:
    unknown, none = dynamic(TARGETS, None)["http"], dynamic(TARGETS, [])["http"]
    assert set(unknown["routers"]) == {"hub", "serving", "grpc"}
    assert set(none["routers"]) == {"hub", "serving", "grpc", "ping"}
    for asks in ("serving-authorize", "grpc-authorize"):
        asked = [each["middlewares"][asks]["forwardAuth"]["address"] for each in (unknown, none)]
        assert asked == [f"{ASKED}/starting", ASKED], "no endpoint is said not to exist before all are known"
    assert none["routers"]["ping"]["entryPoints"] == ["ping"]


def test_a_certificate() -> None:
    assert "tls" not in dynamic(TARGETS, [])
    made = dynamic(TARGETS, [], certificate=Certificate("a.crt", "a.key"))
    pair = {"certFile": "a.crt", "keyFile": "a.key"}
    assert made["tls"] == {"stores": {"default": {"defaultCertificate": pair}}}
