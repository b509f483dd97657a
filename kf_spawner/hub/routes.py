"""What the hub tells its proxy, and in which order.

A proxy that has just started lets whoever comes wait until it knows the hub's own route (`kf_spawner.hub.proxy`). So
that one comes last: JupyterHub's way is all at once, and a request to a server that runs would go to the hub, which
says that it does not run, or is not ready itself.
"""

from typing import Any

from jupyterhub.proxy import ConfigurableHTTPProxy


class OrderedProxy(ConfigurableHTTPProxy):
    """JupyterHub's own, whose options it takes; a new proxy is told the hub's route after all others."""

    async def check_routes(self, user_dict: Any, service_dict: Any, routes: dict[str, Any] | None = None) -> None:
        """Also routes to servers that are still looked at after the hub's start: who asks them is not told that they
        are gone. What turns out to be gone loses its route with its server."""
        routes = routes or await self.get_all_routes()
        own = self.hub.routespec
        if own in routes:
            await super().check_routes(user_dict, service_dict, routes)
            return
        as_if = {own: {"routespec": own, "target": self.hub.host, "data": {"hub": True}}}
        await super().check_routes(user_dict, service_dict, routes | as_if)
        for user in user_dict.values():
            for name, spawner in user.spawners.items():
                if spawner.pending == "check" and spawner.server and spawner.proxy_spec not in routes:
                    data = {"user": user.name, "server_name": name}
                    await self.add_route(spawner.proxy_spec, spawner.server.host, data)
        await self.add_hub_route(self.hub)
