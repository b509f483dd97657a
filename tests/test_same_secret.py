"""same_secret: no text that a caller can send is an error."""

import pytest

from kf_spawner.same_secret import is_secret


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ("Grüße", True),
        ("Grüß", False),
        ("", False),
        ("Gr\udcfc\udcdfe", False),  # bytes of a header that are no UTF-8, as aiohttp reads them
        ("Grüße\ud800", False),  # half a character, as JSON can spell it
    ],
)
def test_only_the_same_text_is_the_secret(given, same):
    assert is_secret(given, "Grüße") is same
