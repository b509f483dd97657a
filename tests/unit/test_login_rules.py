"""authenticators: which addresses are this machine's alone, and which password files are good."""

import pytest

from kf_spawner.hub.authenticators import UnsafeLogin, is_loopback, read_password


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.3.2.1", True),
        ("localhost", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.0.1", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_loopback(host, inside):
    assert is_loopback(host) is inside


def test_a_password_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o640)
    with pytest.raises(UnsafeLogin, match="chmod 600"):
        read_password(file)
    file.chmod(0o600)
    assert read_password(file) == "x"
    file.write_text("\n")
    with pytest.raises(UnsafeLogin, match="is empty"):
        read_password(file)
