"""An endpoint's address: what is made can be parsed again, and no other path belongs to an endpoint."""

import pytest

from kf_spawner.serving import address


def test_an_address_is_made_and_parsed_alike() -> None:
    path = address.path("kf-admin", "digits")
    assert path == "/serving/kf-admin/digits"
    for rest in ("", "/", "/v1/models/digits:predict", "?a=b", "/v1?/../x"):
        assert address.parse(path + rest) == ("kf-admin", "digits")


def test_urls() -> None:
    url = address.serving_url("http://127.0.0.1:8000/")
    assert url == "http://127.0.0.1:8000/serving"
    for given in (url, f"{url}/"):
        assert address.model_url(given, "kf-a", "x") == "http://127.0.0.1:8000/serving/kf-a/x/v1/models/x"
    assert address.model_url(url, "kf-a", "../b").endswith("/serving/kf-a/..%2Fb/v1/models/..%2Fb")
    assert address.serving_url("") == ""


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/serving",
        "/serving/",
        "/serving/kf-a",
        "/serving/kf-a/",
        "/serving//x",
        "/serving/kf-a//x",
        "/serving/../x",
        "/serving/kf-a/%2e%2e",
        "/serving/KF-A/x",
        "/serving/kf-a/x;y",
        "/serving/kf-a/x\n",
        "/user/serving/kf-a/x",
        "serving/kf-a/x",
    ],
)
def test_paths_of_no_endpoint(path: str) -> None:
    assert address.parse(path) is None
