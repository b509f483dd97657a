"""Which routes the hub gives its proxy, and in which order.

A new proxy holds requests back until it has the hub's own route (`kf_spawner.hub.proxy`), so the hub sends that one
last. JupyterHub sends all at once: a request to a running server would then reach the hub, which would answer that
the server is not running, or that the hub is not ready.

That route also says at which hosts the proxy answers. Where each user has a domain, these are the hub's host and
those below it. Without a password they are loopback and `names`: a page on the internet can point a name of its own
at 127.0.0.1, and would have the platform's pages at its own origin.
"""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy
from traitlets import List, Unicode


class OrderedProxy(ConfigurableHTTPProxy):  # type: ignore[misc] # JupyterHub has no types
    """JupyterHub's own proxy class with the same options. A new proxy gets the hub's route after all others."""

    names = List(
        Unicode(),
        help="""Host names, beside loopback, at which requests are answered where no password is set. Where each user
        has a domain, they are hosts at which the hub's API is answered. `jupyterhub_config.py` sets the host of
        `KF_SERVERS_CONNECT_URL`. Default: none.""",
    ).tag(config=True)

    async def add_hub_route(self, hub: Any) -> None:
        await self.add_route(hub.routespec, self.hub.host, self._own_data())

    def _own_data(self) -> dict[str, Any]:
        """Which route this is, and which hosts requests may name: `url` is the hub's address where each user has a
        domain, `names` are further hosts; None: any."""
        url = self.app.subdomain_host.rstrip("/")
        limited = url or getattr(self.app.authenticator, "without_password", False)
        return {"hub": True, "url": url, "names": self.names if limited else None}

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: dict[str, Any] | None = None) -> None:
        """Adds routes also for servers that the hub still checks after its start, so that nobody is told that they
        are gone. A server that turns out to be gone loses its route then."""
        routes = routes or await self.get_all_routes()
        own = self.hub.routespec
        if own in routes:
            await super().check_routes(user_dict, service_dict, routes)
            known = routes[own]["data"]
            if any(known.get(name) != value for name, value in self._own_data().items()):
                await self.add_hub_route(self.hub)  # the hub has new settings, and its proxy is an older one
            return
        as_if = {own: {"routespec": own, "target": self.hub.host, "data": self._own_data()}}
        await super().check_routes(user_dict, service_dict, routes | as_if)
        for user in user_dict.values():
            for name, spawner in user.spawners.items():
                if spawner.pending == "check" and spawner.server and spawner.proxy_spec not in routes:
                    data = {"user": user.name, "server_name": name}
                    await self.add_route(spawner.proxy_spec, spawner.server.host, data)
        await self.add_hub_route(self.hub)
