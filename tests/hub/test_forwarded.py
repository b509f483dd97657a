"""Where a request comes from: which part of X-Forwarded-For is true."""

import pytest

from kf_spawner.hub.forwarded import client, is_proven, neighbourhood, networks, proof

INGRESS = networks(["10.42.0.0/24", "fd00::7"])


@pytest.mark.parametrize(
    ("hops", "proxies", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("8.8.8.8, 192.0.2.1", [], "192.0.2.1"),
        ("8.8.8.8, 192.0.2.1, 10.42.0.9", INGRESS, "192.0.2.1"),
        ("8.8.8.8, 192.0.2.1, fd00::7, 10.42.0.9", INGRESS, "192.0.2.1"),
        ("10.42.0.8, 10.42.0.9", INGRESS, "10.42.0.8"),
        ("8.8.8.8, 10.43.0.9", INGRESS, "10.43.0.9"),
        ("8.8.8.8, unknown, 10.42.0.9", INGRESS, ""),
        ("unknown", [], ""),
        ("203.0.113.9:51234", [], "203.0.113.9"),
        ("[2001:db8::1]:80", [], "2001:db8::1"),
        ("[2001:db8::1]", [], "2001:db8::1"),
        ("192.0.2.1:1, 10.42.0.9:2, [fd00::7]:3, ::ffff:10.42.0.9", INGRESS, "192.0.2.1"),
        ("192.0.2.1,,127.0.0.1", networks(["127.0.0.1"]), "192.0.2.1"),
        ("", INGRESS, ""),
    ],
)
def test_the_last_hop_that_is_no_proxy_is_the_client(hops, proxies, address):
    assert client(hops, proxies) == address


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:7:1:2:3:4", "2001:db8::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("127.0.0.1", "loopback"),
        ("127.1.2.3", "loopback"),
        ("::ffff:127.1.2.3", "loopback"),
        ("::1", "loopback"),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_one_machine_has_all_of_loopback_and_of_its_ipv6_network(address, whole):
    assert neighbourhood(address) == whole


def test_only_the_secret_proves_a_value():
    assert is_proven("secret", "192.0.2.1", proof("secret", "192.0.2.1"))
    assert not is_proven("secret", "192.0.2.2", proof("secret", "192.0.2.1"))
    assert not is_proven("secret", "192.0.2.1", proof("guess", "192.0.2.1"))
    assert not is_proven("secret", "192.0.2.1", "")
    assert not is_proven("", "192.0.2.1", proof("", "192.0.2.1"))
