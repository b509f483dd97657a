"""Which route a path has, and what is no route."""

import time

import pytest

from kf_spawner.hub.proxy.routes import BadRoute, Routes, read_route


def table(*paths: str, **hubs: object) -> Routes:
    """`hubs`: what the hub says with its own route, at `/`."""
    routes = Routes()
    for path in paths:
        told = {"hub": True, **hubs} if hubs and path == "/" else {}
        routes.add(path, read_route({"target": f"http://server{path.replace('/', '-')}:1", **told}))
    return routes


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", "/"),
        ("/hub/home", "/"),
        ("/user", "/"),
        ("/user/x", "/user/x"),
        ("/user/x/", "/user/x"),
        ("/user/x/tree", "/user/x"),
        ("/user/xy", "/"),
        ("/user/x/named/tree", "/user/x/named"),
        ("/user/%78/tree", "/user/x"),
        ("/user%2Fx/tree", "/user/x"),
        ("/user/x/../y", "/user/x"),
        ("/user%252Fx", "/"),
        ("//user/x", "/"),
    ],
)
def test_the_longest_beginning_of_whole_segments_counts(path, found):
    routes = table("/", "/user/x/", "/user/x/named")
    assert routes.find("any", path) is routes.all()[found]


@pytest.mark.parametrize(
    ("host", "path", "found"),
    [
        ("hub.example.com", "/", "/"),
        ("hub.example.com", "/user/ann/lab", "/"),
        ("hub.example.com", "/ann.hub.example.com/user/ann", "/"),
        ("ann.hub.example.com", "/user/ann/lab", "/ann.hub.example.com/user/ann"),
        ("ann.hub.example.com", "/user/ann", "/ann.hub.example.com/user/ann"),
        ("ann.hub.example.com", "/user/anna", None),
        ("ann.hub.example.com", "/user/ann/named/lab", "/ann.hub.example.com/user/ann/named"),
        ("ann.hub.example.com", "/user/%61nn/lab", "/ann.hub.example.com/user/ann"),
        ("ann.hub.example.com", "/hub/token", None),
        ("ann.hub.example.com", "/hub/api/user", None),
        ("ann.hub.example.com", "/user/bob/lab", None),
        ("ann.hub.example.com", "/../bob.hub.example.com/user/bob/lab", None),
        ("ann.hub.example.com", "//bob.hub.example.com/user/bob/lab", None),
        ("bob.hub.example.com", "/user/ann/lab", None),
        ("ann.hub.example.com.", "/user/ann/lab", None),
        ("inside", "/hub/api/user", "/"),
        ("inside", "/hub/api", "/"),
        ("inside", "/hub/apis", None),
        ("inside", "/hub/home", None),
        ("127.0.0.1", "/hub/api/user", None),
        ("127.0.0.1", "/user/old/lab", None),
        ("", "/user/old/lab", None),
        ("", "/ann.hub.example.com/user/ann/lab", None),
    ],
)
def test_where_users_have_domains_the_host_comes_first(host, path, found):
    named, own = "/ann.hub.example.com/user/ann/named", "/ann.hub.example.com/user/ann/"
    others = ("/bob.hub.example.com/user/bob", "/user/old")  # the last is of a time without domains
    routes = table(own, named, *others, "/", url="https://hub.example.com:8443", names=["inside"])
    assert routes.find(host, path) is (routes.all()[found] if found else None)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("hub.example.com", True),
        ("ann.hub.example.com", True),
        ("a.ann.hub.example.com", False),
        (".hub.example.com", False),
        ("annhub.example.com", False),
        ("example.com", False),
        ("hub.example.com.evil.example", False),
        ("inside", True),
        ("127.0.0.1", True),
        ("localhost", True),
        ("ann.localhost", False),
        ("", False),
    ],
)
def test_which_hosts_are_the_platforms_where_users_have_domains(host, own):
    assert table("/", url="https://hub.example.com", names=["inside"]).is_own_name(host) == own
    assert table("/", url="", names=None).is_own_name(host)


def test_on_one_machine_users_domains_are_below_localhost():
    routes = table("/ann.localhost/user/ann", "/", url="http://localhost:8000", names=[])
    assert routes.find("ann.localhost", "/user/ann/lab") is routes.all()["/ann.localhost/user/ann"]
    assert routes.is_own_name("ann.localhost")
    assert not routes.is_own_name("ann.example.com")


def test_a_hub_that_gives_up_domains_is_found_by_path_again():
    routes = table("/ann.localhost/user/ann", "/user/ann", "/", url="http://localhost:8000", names=[])
    assert routes.find("ann.localhost", "/user/ann") is routes.all()["/ann.localhost/user/ann"]
    routes.add("/", read_route({"target": "http://hub:1", "hub": True, "url": "", "names": None}))
    assert routes.find("ann.localhost", "/user/ann") is routes.all()["/user/ann"]


def test_without_a_route_for_all_a_path_may_have_none():
    routes = table("/user/x")
    assert routes.find("any", "/user/y") is None
    assert routes.remove("/user/x/")
    assert not routes.remove("/user/x")
    assert routes.find("any", "/user/x") is None


def test_a_path_of_many_segments_takes_no_time():
    routes = table("/", "/user/x")
    began = time.process_time()
    for _ in range(100):
        assert routes.find("any", "/user/x" + "/" * 30_000) is routes.all()["/user/x"]
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "body", [None, [], {}, {"target": 1}, {"target": "server:1"}, {"target": "/x"}, {"target": "ftp://a"}]
)
def test_what_is_no_route_is_refused(body):
    with pytest.raises(BadRoute, match="target: "):
        read_route(body)


def test_only_the_origin_of_a_target_counts():
    assert str(read_route({"target": "http://10.0.0.1:8888/user/x?y"}).origin) == "http://10.0.0.1:8888"
