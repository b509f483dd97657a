"""Who calls: a hub token in the header, or the cookie of a login at the hub with the XSRF token beside it."""

from collections.abc import Awaitable
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from tornado import web

from kf_spawner.workloads.errors import RequestError

from ..caller import Caller, caller_of


def policy(hub_host: str) -> str:
    """What pages may load. `hub_host`: the hub's, which has the logo, where it is not the dashboard's own."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src 'self' data: {hub_host}".rstrip(),
            "font-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'self'",
            "frame-ancestors 'none'",
        ]
    )


class Secured(web.RequestHandler):
    """The headers that every answer has: no foreign scripts, no inline scripts, no frames."""

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", policy(self.settings["kf_hub_auth"].hub_host))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.clear_header("Server")


class Authenticated(HubOAuthenticated, Secured):  # type: ignore[misc]  # JupyterHub has no types
    """Finds out who calls before the verb runs, without a blocking request to the hub.

    Every request with a cookie needs the XSRF token, reads included, except a page's navigation: a page of a user's
    server may have the same origin and could send them.
    """

    caller: Caller

    @property
    def hub_auth(self) -> HubOAuth:
        return self.settings["kf_hub_auth"]

    async def identify(self) -> Caller:
        """The caller; raises RequestError 401, 403 or 503."""
        try:
            model = await self.hub_auth.get_user(self, sync=False)
        except web.HTTPError as error:
            message = "the hub does not answer: try again soon"
            raise RequestError(503, "HubUnreachable", message) from error
        self._hub_auth_user_cache = None
        if not model:
            raise self._unknown()
        try:
            self.check_hub_user(model)
        except UserNotAllowed as error:
            scopes = ", ".join(sorted(self.hub_scopes or ()))
            message = f"this token may not use the dashboard: it needs {scopes}"
            raise RequestError(403, "NotAllowed", message) from error
        self._hub_auth_user_cache = model
        caller = caller_of(model)
        if caller is None:
            raise RequestError(403, "NotAllowed", "this is a service's token: use a user's, services have no TFJobs")
        return caller

    def _unknown(self) -> RequestError:
        if self.hub_auth.get_token(self, in_cookie=False):
            message = "the hub does not know this token: make one on its page /hub/token"
            return RequestError(401, "LoginRequired", message)
        if self.hub_auth.get_token(self) and not self._xsrf_is_right():
            message = "the header X-XSRFToken does not have the value of the cookie _xsrf: load the page again"
            return RequestError(403, "XSRF", message)
        return RequestError(
            401,
            "LoginRequired",
            "log in at the hub, or send a token of its page /hub/token in the header 'Authorization: token …'",
        )

    def _xsrf_is_right(self) -> bool:
        try:
            self.check_xsrf_cookie()
        except web.HTTPError:
            return False
        return True


class Callback(HubOAuthCallbackHandler, Secured):  # type: ignore[misc]  # JupyterHub has no types
    """The callback of the hub's login."""

    @property
    def hub_auth(self) -> HubOAuth:
        return self.settings["kf_hub_auth"]

    def prepare(self) -> Awaitable[None] | None:
        return self._find_user()

    async def _find_user(self) -> None:
        """Keeps the user, so that later code need not ask the hub."""
        self._hub_auth_user_cache = await self.hub_auth.get_user(self, sync=False)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        message = getattr(error, "log_message", None) or self._reason
        self.render("error.html", title="The login did not succeed", message=message, **self.settings["kf_page"])


class Health(Secured):
    """200 while the process serves, for health checks."""

    def get(self) -> None:
        self.finish("ok\n")
