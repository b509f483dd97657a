"""Which route a path has, and what is no route."""

import time

import pytest

from kf_spawner.hub.proxy.routes import BadRoute, Routes, read_route


def table(*paths: str) -> Routes:
    routes = Routes()
    for path in paths:
        routes.add(path, read_route({"target": f"http://server{path.replace('/', '-')}:1"}))
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
    assert routes.find(path) is routes.all()[found]


def test_without_a_route_for_all_a_path_may_have_none():
    routes = table("/user/x")
    assert routes.find("/user/y") is None
    assert routes.remove("/user/x/")
    assert not routes.remove("/user/x")
    assert routes.find("/user/x") is None


def test_a_path_of_many_segments_takes_no_time():
    routes = table("/", "/user/x")
    began = time.process_time()
    for _ in range(100):
        assert routes.find("/user/x" + "/" * 30_000) is routes.all()["/user/x"]
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "body", [None, [], {}, {"target": 1}, {"target": "server:1"}, {"target": "/x"}, {"target": "ftp://a"}]
)
def test_what_is_no_route_is_refused(body):
    with pytest.raises(BadRoute, match="target: "):
        read_route(body)


def test_only_the_origin_of_a_target_counts():
    assert str(read_route({"target": "http://10.0.0.1:8888/user/x?y"}).origin) == "http://10.0.0.1:8888"
