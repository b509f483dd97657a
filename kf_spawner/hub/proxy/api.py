"""The REST API by which the hub tells its proxy the routes: configurable-http-proxy's, as far as JupyterHub uses it.

https://github.com/jupyterhub/configurable-http-proxy#rest-api
"""

import json
import logging
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler

from kf_spawner.same_secret import is_secret

from .routes import BadRoute, Routes, read_route

log = logging.getLogger(__name__)

PREFIX = "/api/routes"


class Api:
    """`token`: the secret of hub and proxy, in the header `Authorization: token …`."""

    def __init__(self, routes: Routes, *, token: str) -> None:
        self._routes = routes
        self._authorization = f"token {token}"

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._authorize])
        app.router.add_get(PREFIX, self._get)
        app.router.add_post(PREFIX + "{path:(?s:.*)}", self._post)
        app.router.add_delete(PREFIX + "{path:(?s:.*)}", self._delete)
        return app

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_secret(request.headers.get("Authorization", ""), self._authorization):
            raise web.HTTPForbidden(text="only the hub may call this; it sends the token of CONFIGPROXY_AUTH_TOKEN")
        return await handler(request)

    async def _get(self, _request: web.Request) -> web.Response:
        return web.json_response({path: route.told() for path, route in self._routes.all().items()})

    async def _post(self, request: web.Request) -> web.Response:
        try:
            route = read_route(await request.json())
        except (BadRoute, json.JSONDecodeError, UnicodeDecodeError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        path = _path(request)
        self._routes.add(path, route)
        log.info("Route %a -> %s", path, route.origin)
        return web.Response(status=201)

    async def _delete(self, request: web.Request) -> web.Response:
        path = _path(request)
        if not self._routes.remove(path):
            return web.Response(status=404)
        log.info("No more route %a", path)
        return web.Response(status=204)


def _path(request: web.Request) -> str:
    """The decoded path of the route that the request is about."""
    return unquote(request.raw_path.partition("?")[0].removeprefix(PREFIX)) or "/"
