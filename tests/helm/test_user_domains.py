"""The chart's `hub.subdomains.enabled`: every part is told the same, and what it needs is asked for."""

import pytest

from tests.fixtures.helm import HelmFailed, container, variables

HOST = "hub.example.com"
ON = {"subdomains": {"enabled": True}}
INGRESS = {"enabled": True, "hosts": [HOST]}
ROUTE = {"enabled": True, "hostnames": [HOST], "gateway": {"name": "outside"}}


def told(objects: list[dict]) -> dict[str, str]:
    """What hub, dashboard and door are told about hosts."""
    names = ("KF_SUBDOMAINS", "KF_PUBLIC_URL", "KF_DOOR_URL", "KF_DOOR_CONNECT_URL")
    hub, dashboard = variables(objects, "hub"), variables(objects, "dashboard")
    found = {name: hub[name] for name in names if name in hub}
    found |= {name: value for name, value in dashboard.items() if name in ADDED}
    return found | {each: "" for each in container(objects, "door")["args"] if each.startswith("--hub-domain")}


ADDED = (
    "JUPYTERHUB_HOST",
    "JUPYTERHUB_PUBLIC_URL",
    "JUPYTERHUB_OAUTH_CALLBACK_URL",
    "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED",
)


@pytest.mark.parametrize(("scheme", "port", "prefix"), [("https", "", "1"), ("http", ":8080", "0")])
def test_all_parts_are_told(renderer, scheme, port, prefix):
    url = f"{scheme}://{HOST}{port}"
    dashboard = f"{scheme}://tfjobs--service.{HOST}{port}/services/tfjobs/"
    assert told(renderer.render({"hub": {**ON, "publicUrl": f"{url}/"}})) == {
        "KF_SUBDOMAINS": "true",
        "KF_PUBLIC_URL": url,
        "KF_DOOR_URL": f"{scheme}://serving--service.{HOST}{port}",
        "KF_DOOR_CONNECT_URL": "http://door.hubs",
        "JUPYTERHUB_HOST": url,
        "JUPYTERHUB_PUBLIC_URL": dashboard,
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{dashboard}oauth_callback",
        "JUPYTERHUB_COOKIE_HOST_PREFIX_ENABLED": prefix,
        f"--hub-domain={HOST}": "",
    }


def test_without_it_nothing_is_told(renderer):
    url = f"https://{HOST}"
    assert told(renderer.render({"hub": {"publicUrl": url}})) == {
        "KF_PUBLIC_URL": url,
        "KF_DOOR_URL": url,
        "KF_DOOR_CONNECT_URL": "http://door.hubs",
    }


@pytest.mark.parametrize(
    ("values", "hosts"),
    [
        ({"ingress": INGRESS}, [HOST, f"*.{HOST}"]),
        ({"ingress": {**INGRESS, "hosts": [HOST, f"*.{HOST}", "old.example.com"]}}, None),
        ({"ingress": {**INGRESS, "tls": [{"secretName": "t", "hosts": [HOST, f"*.{HOST}"]}]}}, [HOST, f"*.{HOST}"]),
        ({"ingress": {**INGRESS, "tls": [{"secretName": "t"}]}}, [HOST, f"*.{HOST}"]),
        ({"ingress": {"enabled": True}, "hub": {**ON, "publicUrl": f"https://{HOST}"}}, [""]),
        ({"httpRoute": ROUTE}, [HOST, f"*.{HOST}"]),
        ({"httpRoute": {**ROUTE, "hostnames": []}, "hub": {**ON, "publicUrl": f"https://{HOST}"}}, []),
    ],
)
def test_users_domains_reach_the_door(renderer, values, hosts):
    objects = renderer.render({"hub": ON, **values})
    hosts = values["ingress"]["hosts"] if hosts is None else hosts
    [way] = [obj["spec"] for obj in objects if obj["kind"] in ("Ingress", "HTTPRoute")]
    found = [rule.get("host", "") for rule in way["rules"]] if "ingress" in values else way.get("hostnames", [])
    assert found == hosts


NEEDS = [
    ({}, "set hub.publicUrl, or name a host in ingress.hosts or httpRoute.hostnames"),
    ({"hub": {**ON, "publicUrl": "https://192.0.2.7"}}, "https://192.0.2.7 has none: set hub.publicUrl"),
    ({"hub": {**ON, "publicUrl": "http://[2001:db8::7]:80"}}, "has none: set hub.publicUrl"),
    ({"ingress": {**INGRESS, "hosts": ["*.example.com"]}}, r"http://\*.example.com has none: set hub.publicUrl"),
    (
        {"ingress": {**INGRESS, "tls": [{"secretName": "t", "hosts": [HOST]}]}},
        rf"ingress.tls: .* the certificate must be for \*.{HOST} too: name it in hosts",
    ),
    (
        {"hub": {"config": {"JupyterHub": {"subdomain_host": "https://hub.example.com"}}}},
        "hub.config.JupyterHub.subdomain_host: set hub.subdomains.enabled instead",
    ),
]


@pytest.mark.parametrize(("values", "said"), NEEDS, ids=[said for _, said in NEEDS])
def test_what_is_missing_is_said(renderer, values, said):
    with pytest.raises(HelmFailed, match=said):
        renderer.render({"hub": ON, **values})
