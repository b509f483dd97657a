"""The door asks here whether a token may use an endpoint.

Owns the decision, at `/hub/kf/authorize/NAMESPACE/NAME`. Knows tokens and scopes (JupyterHub's) and which user a
namespace belongs to (`naming`). May not know Kubernetes, nor which endpoints there are.

The door sends the caller's `Authorization` header and no other header of theirs. The answer is 200, 401 or 403, and
depends on nothing but that header and the namespace and name in the address: the door uses it again for some seconds.
Where the token expires, `Cache-Control: max-age` of a 200 says in how many seconds. A caller who may not act in a
namespace gets the same 403 whether or not there is such an endpoint.

A caller may use the endpoints of a user's namespace with a token that

- may predict there (`PREDICT`, a scope of ours that opens nothing else): `!user=alice` at all endpoints of alice,
  `!server=alice/digits` at one. The filter is JupyterHub's for a user's server; here it names a user's endpoint;
- or may access this user's servers (`access:servers`): the user's own token, the token of one of the user's servers,
  or an administrator's.

Cookies do not count: a page of another server on the same host could send them.
"""

import math
from typing import Any

from jupyterhub import orm
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.metrics import prometheus_log_method
from jupyterhub.scopes import Scope, has_scope
from tornado import web
from traitlets.config import Config

from kf_spawner.naming import NAMESPACE_PREFIX, is_label, user_namespace
from kf_spawner.serving.refusals import Refusal, no_token, refusal, unauthorized

PREDICT = "custom:kf-endpoint:predict"
"""The scope that lets a token predict at endpoints and do nothing else."""

_FORBIDDEN = (
    f"This token may not use this endpoint: use one of its owner's, with the scope access:servers or {PREDICT}."
)
_MALFORMED = "Ask about …/authorize/NAMESPACE/NAME, both valid names."
_UNKNOWN = (
    "The hub does not accept this token: it has expired or was revoked. Make a new one on the hub's page /hub/token."
)


def add_scope(config: Config) -> None:
    """Defines `PREDICT`, and lets each user give it to tokens for endpoints of their own."""
    config.JupyterHub.custom_scopes = {PREDICT: {"description": "Predict at model endpoints, and do nothing else."}}
    config.JupyterHub.extra_user_scopes = {*config.JupyterHub.get("extra_user_scopes", ()), f"{PREDICT}!user"}


def may_use(namespace: str, name: str, *, caller: str | None, scopes: dict[str, Any], db: Any = None) -> bool:
    """Whether a token may use the endpoint `name` in a namespace.

    `caller`: the name of the user whose token it is, None for a service's. `scopes`: the token's, as
    `jupyterhub.scopes.parse_scopes` gives them. `db` is needed only for scopes that are granted to groups.
    """
    if not namespace.startswith(NAMESPACE_PREFIX):
        return False
    own = caller if caller is not None and user_namespace(caller) == namespace else None
    return any(
        _is_granted(scope, namespace, own, scopes, db) for scope in (PREDICT, "access:servers")
    ) or _is_granted_alone(namespace, name, own, scopes)


def _is_granted(scope: str, namespace: str, own: str | None, scopes: dict[str, Any], db: Any) -> bool:
    """Whether the scope is for all users or for the namespace's. `own`: the caller, if the namespace is theirs."""
    filters = scopes.get(scope)
    if filters is None:
        return False
    if filters == Scope.ALL or any(user_namespace(user) == namespace for user in filters.get("user", ())):
        return True
    return own is not None and bool(has_scope(f"{scope}!user={own}", scopes, db=db))


def _is_granted_alone(namespace: str, name: str, own: str | None, scopes: dict[str, Any]) -> bool:
    """Whether `PREDICT` is for just this endpoint, or the token is that of one of the user's servers: it may access
    just that server, and acts for its user here, too."""

    def named(scope: str) -> list[tuple[str, str]]:
        filters = scopes.get(scope) or {}
        servers = filters.get("server", ()) if filters != Scope.ALL else ()
        return [(user, server) for user, _, server in (each.partition("/") for each in servers)]

    return any((user_namespace(user), endpoint) == (namespace, name) for user, endpoint in named(PREDICT)) or any(
        user == own for user, _ in named("access:servers")
    )


class AuthorizeHandler(BaseHandler):  # type: ignore[misc] # JupyterHub has no types
    """Answers the door. `handlers()` has its paths."""

    _accept_cookie_auth = False
    _accept_token_auth = True

    async def get(self, namespace: str, name: str) -> None:
        if self.current_user is None:
            self._refuse(unauthorized(_UNKNOWN) if self.get_auth_token() else no_token())
        elif not (is_label(namespace) and is_label(name)):
            self._refuse(refusal(400, "BadRequest", _MALFORMED))
        elif not self._allowed(namespace, name):
            self._refuse(refusal(403, "Forbidden", _FORBIDDEN))
        else:
            expires_in = self.get_token().expires_in
            if expires_in is not None:
                self.set_header("Cache-Control", f"private, max-age={max(0, math.floor(expires_in))}")
            self.finish()

    def _allowed(self, namespace: str, name: str) -> bool:
        user = self.current_user
        caller = None if isinstance(user, orm.Service) else user.name
        return may_use(namespace, name, caller=caller, scopes=self.parsed_scopes, db=self.db)

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
