"""The door asks here whether a token may use an endpoint.

Owns the decision, at `/hub/kf/authorize/NAMESPACE/NAME`. Knows tokens and scopes (JupyterHub's) and which user a
namespace belongs to (`naming`). May not know Kubernetes, nor which endpoints there are.

The door sends the caller's `Authorization` header and no other header of theirs. The answer is 200, 401 or 403, and
depends on nothing but that header and the namespace and name in the address: the door uses it again for some seconds.
Where the token expires, `Cache-Control: max-age` of a 200 says in how many seconds. A caller who may not act in a
namespace gets the same 403 whether or not there is such an endpoint.

A caller may use the endpoints of a user's namespace with a token that may access this user's servers
(`access:servers`): the user's own token, the token of one of the user's servers, or an administrator's. Cookies do
not count: a page of another server on the same host could send them.
"""

import math
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.metrics import prometheus_log_method
from jupyterhub.scopes import Scope, has_scope
from tornado import web

from kf_spawner.naming import NAMESPACE_PREFIX, is_label, user_namespace
from kf_spawner.serving.refusals import Refusal, no_token, refusal, unauthorized

_FORBIDDEN = "This token may not use endpoints in this namespace: use its owner's, with the scope access:servers."
_MALFORMED = "Ask about …/authorize/NAMESPACE/NAME, both valid names."
_UNKNOWN = (
    "The hub does not accept this token: it has expired or was revoked. Make a new one on the hub's page /hub/token."
)


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

    async def get(self, namespace: str, name: str) -> None:
        if self.current_user is None:
            self._refuse(unauthorized(_UNKNOWN) if self.get_auth_token() else no_token())
        elif not (is_label(namespace) and is_label(name)):
            self._refuse(refusal(400, "BadRequest", _MALFORMED))
        elif not self._allowed(namespace):
            self._refuse(refusal(403, "Forbidden", _FORBIDDEN))
        else:
            expires_in = self.get_token().expires_in
            if expires_in is not None:
                self.set_header("Cache-Control", f"private, max-age={max(0, math.floor(expires_in))}")
            self.finish()

    def _allowed(self, namespace: str) -> bool:
        user = self.current_user
        caller = None if isinstance(user, orm.Service) else user.name
        return may_use(namespace, caller=caller, scopes=self.parsed_scopes, db=self.db)

    def _refuse(self, answer: Refusal) -> None:
        """The door sends this to the caller as it is."""
        self.set_status(answer.status)
        for name, value in answer.headers.items():
            self.set_header(name, value)
        self.finish(answer.body)

    def _log(self) -> None:
        """Logs each refusal. What is let through counts in the metrics alone."""
        if self.get_status() == 200:
            prometheus_log_method(self)
        else:
            super()._log()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answers errors as JSON: the caller is a program and cannot use the hub's HTML page."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = error.log_message if isinstance(error, web.HTTPError) and error.log_message else ""
        self._refuse(refusal(status_code, self._reason or "Error", message or self._reason))


def handlers() -> list[tuple[str, type[web.RequestHandler]]]:
    """For `c.JupyterHub.extra_handlers`; the hub puts its own `/hub` in front."""
    return [(r"/kf/authorize/([^/]+)/([^/]+)", AuthorizeHandler)]
