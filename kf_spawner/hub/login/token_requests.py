"""A token for a name and a password: JupyterHub's `POST /hub/api/users/NAME/tokens`, for programs alone.

JupyterHub takes the password from any page that posts it, because it asks for no token of a page of its own here. So
a page elsewhere could give wrong passwords from its visitor's browser, until that address has to wait.
"""

from jupyterhub.apihandlers.users import UserTokenListAPIHandler
from tornado import web
from tornado.httputil import HTTPServerRequest


class TokenRequestHandler(UserTokenListAPIHandler):  # type: ignore[misc] # JupyterHub has no types
    """The same, but refuses what a page of another origin can send, before somebody looks at the password."""

    async def post(self, user_name: str) -> None:
        if self.current_user is None:
            refuse_other_pages(self.request)
        await super().post(user_name)


HANDLERS = [(r"/api/users/([^/]+)/tokens", TokenRequestHandler)]
"""For an authenticator's `get_handlers`, which come before JupyterHub's own."""


def refuse_other_pages(request: HTTPServerRequest) -> None:
    """Raises HTTPError for what no program sends. A browser names a page's origin, and asks before it sends JSON."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2].lower() != request.host.lower():
        raise web.HTTPError(403, "a page of another origin may not log in")
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise web.HTTPError(415, "send the name and the password as JSON, with Content-Type: application/json")
