"""Marks a browser in which somebody has logged in, by a signed cookie that only the login page gets.

Source: https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
"""

import secrets

from tornado.web import RequestHandler

COOKIE = "kf-known-browser"
DAYS = 90


def known(handler: RequestHandler) -> str | None:
    """The browser's name; None if nobody has logged in there in the last 90 days."""
    value = handler.get_signed_cookie(COOKIE, max_age_days=DAYS)
    return value.decode() if value else None


def remember(handler: RequestHandler) -> None:
    """Marks the browser."""
    if known(handler) is None:
        handler.set_signed_cookie(
            COOKIE,
            secrets.token_hex(16),
            expires_days=DAYS,
            path=handler.settings["login_url"],
            httponly=True,
            samesite="Lax",
            secure=handler.request.protocol == "https",
        )
