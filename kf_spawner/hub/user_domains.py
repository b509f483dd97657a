"""Each user's servers at a domain of their own, below the hub's: `alice.hub.example.com`.

On one origin, a page of one user's server could act with the login of whoever opens it. JupyterHub makes the domains
(`JupyterHub.subdomain_host`); which hosts the hub itself answers at: `kf_spawner.hub.proxy.routes`.
"""

from traitlets.config import Config

from kf_spawner.variables import BadVariable, host_of, is_address

LOCALHOST = "localhost"
ASKS_AGAIN = 30
"""Seconds after which a server on this machine asks the hub again whether a login still holds, as the dashboard does.
A logout ends the hub's session, whose cookie no browser shares with the names below localhost."""


def add_user_domains(config: Config, hub_url: str) -> None:
    """Gives each user a domain below the hub's host; nothing where the URL is empty. Raises BadVariable."""
    if not hub_url:
        return
    host = host_of(hub_url)
    if is_address(host):
        raise BadVariable(
            f"KF_SUBDOMAINS=true, and KF_PUBLIC_URL={hub_url} has an address for its host, below which there are no "
            "domains: give it a name, such as https://hub.example.com or http://localhost:8000"
        )
    config.JupyterHub.subdomain_host = hub_url
    # A page at a domain below the hub's can set a cookie for the hub's host, but none with the prefix `__Host-`.
    config.JupyterHub.cookie_host_prefix_enabled = hub_url.startswith("https://")
    if host == LOCALHOST:
        config.KubeflowSpawner.args = [f"--HubOAuth.cache_max_age={ASKS_AGAIN}"]
