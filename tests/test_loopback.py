"""loopback: which addresses are this machine's alone."""

import pytest

from kf_spawner.loopback import host_name, is_loopback


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


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("127.0.0.1:8000", "127.0.0.1"),
        ("LocalHost", "localhost"),
        ("[::1]:8000", "::1"),
        ("a.example.", "a.example."),
        ("127.0.0.1@evil.example", ""),
        ("evil.example@127.0.0.1", ""),
        ("127.0.0.1, evil.example", ""),
        ("127.0.0.1/evil.example", ""),
        ("", ""),
    ],
)
def test_the_name_in_a_requests_host(header, name):
    assert host_name(header) == name
