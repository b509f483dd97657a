"""What the hub is configured with where each user has a domain."""

import pytest
from jupyterhub.utils import subdomain_hook_idna
from traitlets.config import Config

from kf_spawner.hub.user_domains import add_user_domains
from kf_spawner.naming import is_label
from kf_spawner.serving import address
from kf_spawner.variables import BadVariable


def configured(url: str) -> Config:
    config = Config()
    add_user_domains(config, url)
    return config


def test_without_an_address_nothing_is_changed():
    assert configured("") == Config()


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "https://192.0.2.7", "http://[::1]:8000"])
def test_an_address_has_no_domains_below_it(url):
    with pytest.raises(BadVariable, match=r"KF_PUBLIC_URL=.* give it a name"):
        configured(url)


@pytest.mark.parametrize(
    ("url", "prefix", "arguments"),
    [
        ("https://hub.example.com", True, None),
        ("http://hub.example.com:8080", False, None),
        ("http://localhost:8000", False, ["--HubOAuth.cache_max_age=30"]),
    ],
)
def test_what_follows_from_the_hubs_address(url, prefix, arguments):
    config = configured(url)
    assert config.JupyterHub == {"subdomain_host": url, "cookie_host_prefix_enabled": prefix}
    assert config.KubeflowSpawner.get("args") == arguments


def test_every_name_has_a_label_of_its_own_which_no_service_has():
    names = [
        "ann",
        "serving",
        "tfjobs",
        "ann.b",
        "ann-b",
        "ann--b",
        "ada@example.com",
        "jürgen",
        "a" * 80,
        "42",
        "-",
        "ß",
    ]
    hosts = [subdomain_hook_idna(name, "hub.example.com", "user") for name in names]
    hosts += [subdomain_hook_idna(name, "hub.example.com", "service") for name in ("serving", "tfjobs")]
    assert len(set(hosts)) == len(hosts)
    assert address.host("hub.example.com") == hosts[-2]
    assert all(
        host.endswith(".hub.example.com") and is_label(host.removesuffix(".hub.example.com")) for host in hosts
    )
