"""Marks a browser in which somebody has logged in, by a signed cookie that only the login page gets.

It holds for one password: who knew an earlier one is a stranger.
Source: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import hmac
import secrets
from hashlib import sha256

from tornado.web import RequestHandler

COOKIE = "kf-known-browser"
DAYS = 90


def known(handler: RequestHandler, password: str) -> str | None:
    """The browser's name; None if nobody has logged in there with this password in the last 90 days."""
    value = handler.get_signed_cookie(COOKIE, max_age_days=DAYS)
    name, _, mark = value.decode().partition(".") if value else ("", "", "")
    return name if hmac.compare_digest(mark, _mark(handler, name, password)) else None


def remember(handler: RequestHandler, password: str) -> None:
    """Marks the browser."""
    if known(handler, password) is None:
        name = secrets.token_hex(16)
        handler.set_signed_cookie(
            COOKIE,
            f"{name}.{_mark(handler, name, password)}",
            expires_days=DAYS,
            path=handler.settings["login_url"],
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )


def _mark(handler: RequestHandler, name: str, password: str) -> str:
    """What shows that a browser knew the password. Without the hub's secret nobody can try passwords on it."""
    text = f"{COOKIE}.{name}.{password}"
    return hmac.new(handler.settings["cookie_secret"], text.encode(), sha256).hexdigest()
