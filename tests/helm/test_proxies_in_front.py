"""Whose word about browsers the door and the hub take, by the chart's values."""

import pytest

from tests.fixtures.helm import container, variables

INGRESS = {"enabled": True, "hosts": ["hub.example.com"]}
ROUTE = {"enabled": True, "hostnames": ["hub.example.com"], "gateway": {"name": "outside"}}
OFFLOAD = {"https": {"enabled": True, "type": "offload"}}
HTTPS_IN_FRONT = [
    ({}, False),
    ({"ingress": INGRESS}, False),
    ({"ingress": {**INGRESS, "tls": [{"hosts": ["hub.example.com"], "secretName": "tls"}]}}, True),
    ({"httpRoute": ROUTE}, False),
    ({"httpRoute": ROUTE, "hub": {"publicUrl": "https://hub.example.com"}}, True),
    ({"proxy": OFFLOAD}, True),
    ({"proxy": {**OFFLOAD, "traefik": {"trustedProxies": ["192.0.2.0/28"]}}}, False),
    ({"proxy": {"https": {"enabled": True, "secret": {"name": "tls"}}}}, False),
]


@pytest.mark.parametrize(("values", "told"), HTTPS_IN_FRONT)
def test_the_headers_of_a_proxy_in_front_are_believed_only_where_it_is_named(renderer, values, told):
    objects = renderer.render(values)
    named = values.get("proxy", {}).get("traefik", {}).get("trustedProxies", [])
    arguments = container(objects, "door")["args"]
    assert [each for each in arguments if "trusted" in each] == [f"--trusted-proxies={each}" for each in named]
    assert variables(objects, "hub").get("KF_TRUSTED_PROXIES", "") == ",".join(named)
    assert ("--https-in-front" in arguments) == told
