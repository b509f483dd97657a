"""Does an image fit its hub: the rule, and that a hub tells its servers."""

import pytest

from kf_spawner.extension.version_check import version_mismatch


@pytest.mark.parametrize(
    ("hub", "image"),
    [("0.1.0", "0.1.0"), ("0.1.3", "0.1.0"), ("0.1.0.dev1", "0.1.0"), ("", "0.1.0"), ("2.4.1", "2.4.0")],
)
def test_fits(hub, image):
    assert version_mismatch(hub=hub, image=image) == ""


@pytest.mark.parametrize(
    ("hub", "image"), [("0.2.0", "0.1.0"), ("0.1.0", "0.2.0"), ("1.0.0", "0.1.0"), ("0.10.0", "0.1.0")]
)
def test_says_both_versions_and_what_to_do(hub, image):
    said = version_mismatch(hub=hub, image=image)
    assert f"kf_spawner {image}, and the hub that started it has {hub}" in said
    assert f"an image that has the tag {hub}" in said
