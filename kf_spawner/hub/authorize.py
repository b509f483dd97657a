"""The door asks here, once for each request, whether the caller may use an endpoint.

Owns the decision and its HTTP answers, at `/hub/kf/authorize`. Knows tokens and scopes (JupyterHub's) and which
user a namespace belongs to (`naming`). May not know Kubernetes.

The door asks in one of three ways, each with the caller's `Authorization` header and no other header of theirs:

- `GET …/authorize/NAMESPACE/NAME`: may the caller use this endpoint? 200, 401 or 403;
- `GET …/authorize/NAMESPACE/NAME/unready`: the same for an endpoint without a ready pod: 503 in place of 200;
- `GET …/authorize`: for a path below `/serving/` that no endpoint has, in `X-Forwarded-Uri`: 401, 403, 404 or 400.

The first two addresses come from the route that matched, so no spelling of the caller's path changes the question. A
caller who may not act in a namespace gets the same 403 whether or not there is such an endpoint.

A caller may use the endpoints of a user's namespace with a token that may access this user's servers
(`access:servers`): the user's own token, the token of one of the user's servers, or an administrator's. Cookies do
not count: a page of another server on the same host could send them.
"""

import json
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.metrics import prometheus_log_method
from jupyterhub.scopes import Scope, has_scope
from tornado import web

from kf_spawner.naming import NAMESPACE_PREFIX, is_label, user_namespace
from kf_spawner.serving import DOOR_HEADER, address

_MESSAGES = {
    400: f"This path is not {address.FORM}",
    401: "Send a token of the hub in the header 'Authorization: token …'; make one on the hub's page /hub/token.",
    403: "This token may not use endpoints in this namespace: use its owner's, with the scope access:servers.",
    404: "This endpoint does not exist, or its route is not ready yet: check the endpoint's status.",
    503: "The endpoint has no ready pod: check the endpoint's status.",
}
_UNKNOWN = (
    "The hub does not accept this token: it has expired or was revoked. Make a new one on the hub's page /hub/token."
)
_REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 503: "EndpointNotReady"}


def may_use(namespace: str, *, caller: str | None, scopes: dict[str, Any], db: Any = None) -> bool:
    """Whether a token may use the endpoints in a namespace.

    `caller`: the name of the user whose token it is, None for a service's. `scopes`: the token's, as
    `jupyterhub.scopes.parse_scopes` gives them. `db` is needed only for scopes that are granted to groups.
    """
    if not namespace.startswith(NAMESPACE_PREFIX):
        return False
    filters = scopes.get("access:servers")
    if filters is None:
        return False
    if filters == Scope.ALL:
        return True
    if any(user_namespace(user) == namespace for user in filters.get("user", ())):
        return True
    if caller is None or user_namespace(caller) != namespace:
        return False
    # A server's own token may access just that server; it acts for its user here, too.
    if any(server.partition("/")[0] == caller for server in filters.get("server", ())):
        return True
    return bool(has_scope(f"access:servers!user={caller}", scopes, db=db))


class AuthorizeHandler(BaseHandler):  # type: ignore[misc] # JupyterHub has no types
    """Answers the door. `handlers()` has its paths."""

    _accept_cookie_auth = False
    _accept_token_auth = True

    async def get(self, namespace: str | None = None, name: str | None = None, unready: str | None = None) -> None:
        if self.current_user is None:
            self.set_header("WWW-Authenticate", 'Bearer realm="kf-spawner"')
            self._answer(401, _UNKNOWN if self.get_auth_token() else "")
            return
        routed = namespace is not None
        if namespace is None:
            namespace, name = self._asked_path()
        if not (is_label(namespace) and is_label(name or "")):
            self._answer(400)
        elif not self._allowed(namespace):
            self._answer(403)
        elif not routed:
            self._answer(404)
        elif unready:
            self.set_header("Retry-After", "2")
            self._answer(503)
        else:
            self.set_status(200)
            self.finish()

    def _asked_path(self) -> tuple[str, str]:
        return address.parse(self.request.headers.get("X-Forwarded-Uri", "")) or ("", "")

    def _allowed(self, namespace: str) -> bool:
        user = self.current_user
        caller = None if isinstance(user, orm.Service) else user.name
        return may_use(namespace, caller=caller, scopes=self.parsed_scopes, db=self.db)

    def _answer(self, status: int, message: str = "") -> None:
        self.set_status(status)
        self._finish_error(_REASONS[status], message or _MESSAGES[status])

    def _finish_error(self, reason: str, message: str) -> None:
        """The door sends this to the caller as it is. The header tells it from an answer of the model server's."""
        self.set_header(DOOR_HEADER, reason)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"reason": reason, "message": message}))

    def _log(self) -> None:
        """Logs each refusal. The many predictions that are let through count in the metrics alone."""
        if self.get_status() == 200:
            prometheus_log_method(self)
        else:
            super()._log()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers errors as JSON: the caller is a program and cannot use the hub's HTML page."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = error.log_message if isinstance(error, web.HTTPError) and error.log_message else ""
        self._finish_error(self._reason or "Error", message or self._reason)


def handlers() -> list[tuple[str, type[web.RequestHandler]]]:
    """For `c.JupyterHub.extra_handlers`; the hub puts its own `/hub` in front."""
    return [
        (r"/kf/authorize", AuthorizeHandler),
        (r"/kf/authorize/([^/]+)/([^/]+)(?:/(unready))?", AuthorizeHandler),
    ]
