"""TF Serving's paths, as its http_rest_api_util.cc and http_rest_api_handler_test.cc have them."""

import pytest

from kf_spawner.model_server.errors import ServingError
from kf_spawner.model_server.paths import Address, parse


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/v1/models/foo", Address("foo", "status")),
        ("/v1/models/foo/versions/00000123", Address("foo", "status", "00000123")),
        ("/v1/models/foo/labels/canary/metadata", Address("foo", "metadata", label="canary")),
        ("/v1/models/foo/versions/1:predict", Address("foo", "predict", "1")),
        ("/V1/Models/Foo:CLASSIFY", Address("Foo", "classify")),
        ("/model/foo:regress", Address("foo", "regress")),
        ("/v1/models/foo/versions/x:predict", None),
        ("/v1/models/foo/versions/1/labels/a:predict", None),
        ("/v1/models/foo:test", None),
        ("/v1/models/:predict", None),
        ("/v1/foo", None),
    ],
)
def test_what_a_path_names(path: str, address: Address | None) -> None:
    assert parse("POST", path) == address


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models", 400, "Missing model name in request."),
        ("/v1/models/versions/1", 400, "Missing model name in request."),
        ("/v1/models/metadata", 404, "Could not find any versions of model metadata"),
        (
            "/v1/models/foo/versions/9223372036854775808",
            400,
            "Failed to convert version: 9223372036854775808 to numeric.",
        ),
        (f"/v1/models/foo/versions/{'9' * 5000}", 400, f"Failed to convert version: {'9' * 5000} to numeric."),
        ("/v1/models/foo/labels/X:predict", 400, "Unrecognized servable version label: X"),
        ("/v1/models/bar:predict", 404, "Servable not found for request: Latest(bar)"),
        ("/v1/models/bar/versions/50:predict", 404, "Servable not found for request: Specific(bar, 50)"),
        ("/v1/models/bar", 404, "Could not find any versions of model bar"),
        ("/v1/models/bar/versions/50", 404, "Could not find version 50 of model bar"),
    ],
)
def test_what_is_refused_in_tf_servings_words(path: str, status: int, words: str) -> None:
    def version() -> int | None:
        address = parse("GET", path)
        assert address is not None
        return address.version_of("foo")

    with pytest.raises(ServingError) as caught:
        version()
    assert (caught.value.http_status, caught.value.message) == (status, words)


def test_versions_of_the_model_that_is_served() -> None:
    assert Address("foo", "predict").version_of("foo") is None
    assert Address("foo", "predict", "00000123").version_of("foo") == 123
