"""The routes that the hub has told: the beginning of a path -> the server. Pure, apart from the clock.

Where each user has a domain, a route's path begins with the host, as configurable-http-proxy's do with
`--host-routing`: `/alice.hub.example.com/user/alice`. The hub then answers at its own host alone: its pages at a
user's domain would have the origin of what this user's server sends.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from yarl import URL

from kf_spawner.loopback import is_loopback

HUB_API = "/hub/api"
"""What the hub answers at further hosts: servers outside this machine know no other host of it."""


class BadRoute(Exception):
    """What the hub sent is no route. The message says what is wrong."""


@dataclass
class Route:
    """`origin`: scheme, host and port of the server; `data`: all that the hub said; `used`: the time of the last
    traffic, in seconds since 1970."""

    origin: URL
    data: dict[str, Any]
    used: float = field(default_factory=time.time)

    @property
    def is_hubs(self) -> bool:
        """JupyterHub marks the route to itself."""
        return bool(self.data.get("hub"))

    def touch(self) -> None:
        """Notes traffic; the hub finds idle servers by it."""
        self.used = time.time()

    def told(self) -> dict[str, Any]:
        """The route as the hub reads it."""
        used = datetime.fromtimestamp(self.used, UTC).isoformat(timespec="milliseconds")
        return {**self.data, "last_activity": used.replace("+00:00", "Z")}


def read_route(body: Any) -> Route:
    """The route in the hub's JSON: `{"target": "http://10.0.0.1:8888", …}`. Raises BadRoute."""
    target = body.get("target") if isinstance(body, dict) else None
    if not isinstance(target, str):
        raise BadRoute("target: give the server's URL as a text")
    try:
        origin = URL(target, encoded=True).origin()
    except ValueError as error:
        raise BadRoute(f"target: {target!r} is no URL of a server: {error}") from error
    if origin.scheme not in ("http", "https"):
        raise BadRoute(f"target: {target!r} is no URL with http or https")
    return Route(origin, body)


class Routes:
    """All routes. `complete` is set with the hub's own route, which a new proxy is told last.

    With the hub's own route come `names`, further hosts, and `url`, the hub's address where each user has a domain.
    """

    def __init__(self) -> None:
        self._routes: dict[str, Route] = {}
        self._depth = 0
        self._names: frozenset[str] | None = None
        self._domain = ""
        self.hub_url = ""
        """The hub's address where each user has a domain below it, without a slash at its end; empty elsewhere."""
        self.complete = asyncio.Event()

    def add(self, path: str, route: Route) -> None:
        """`path` is decoded; a slash at its end does not count."""
        self._routes[path.rstrip("/")] = route
        self._depth = max(self._depth, path.count("/"))
        if route.is_hubs:
            names = route.data.get("names")
            self._names = None if names is None else frozenset(names)
            self.hub_url = route.data.get("url", "")
            self._domain = urlsplit(self.hub_url).hostname or ""
            self.complete.set()

    def remove(self, path: str) -> bool:
        """Removes a route; whether there was one."""
        return self._routes.pop(path.rstrip("/"), None) is not None

    def find(self, host: str, path: str) -> Route | None:
        """The route of a request. `host` is in lower case and has no port; `path` is encoded."""
        if not self._domain:
            return self._longest(path, shortest=1)
        if host == self._domain:
            return self._routes.get("")
        if f"{path}/".startswith(f"{HUB_API}/") and host in (self._names or ()):
            return self._routes.get("")
        return self._longest(f"/{host}{path}", shortest=2)  # the host is a segment of its own

    def _longest(self, path: str, *, shortest: int) -> Route | None:
        """The route with the longest beginning of a path, which has `shortest` or more segments. Only whole segments
        count."""
        # A path may have thousands of segments, and no route has as many.
        segments = unquote(path).split("/", self._depth + 1)[: self._depth + 1]
        for count in range(len(segments), shortest - 1, -1):
            route = self._routes.get("/".join(segments[:count]))
            if route is not None:
                return route
        return None

    def all(self) -> dict[str, Route]:
        """By path, without a slash at the end but for `/`."""
        return {path or "/": route for path, route in self._routes.items()}

    def is_own_name(self, host: str) -> bool:
        """Whether requests may name this host: any, unless the hub has said which; loopback always."""
        if self._domain and (host == self._domain or _is_below(host, self._domain)):
            return True
        any_may = self._names is None and not self._domain
        return any_may or host in (self._names or ()) or is_loopback(host)


def _is_below(host: str, domain: str) -> bool:
    """Whether `host` is one label and then the domain."""
    label, _, rest = host.partition(".")
    return bool(label) and rest == domain
