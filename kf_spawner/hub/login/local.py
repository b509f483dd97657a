"""Logs in users with one password for all, or with an empty one on this machine (`KF_AUTHENTICATOR=local`, `null`).

An empty password is possible only where nobody else can reach the login page: the addresses of the door and of the
hub must be loopback, and so must the name in the browser's address (a page on the internet can point its own name at
127.0.0.1). With a password, wrong ones are counted.
"""

import os
import stat
from pathlib import Path
from typing import Any

from jupyterhub.auth import Authenticator
from jupyterhub.utils import maybe_future
from tornado import web
from traitlets import List, Unicode, default

from kf_spawner.loopback import host_name, is_loopback
from kf_spawner.same_secret import is_secret

from .. import forwarded
from .brake import Brake, in_words
from .known_browser import known, remember
from .later import Later
from .token_requests import HANDLERS
from .unsafe import UnsafeLogin


def read_password(path: Path) -> str:
    """The password in the first line of a file that nobody else can read. Raises UnsafeLogin.

    A group may read a file of root's: that is how Kubernetes mounts a Secret for a pod that is not root.
    """
    try:
        status = path.stat()
        lines = path.read_text().splitlines()
    except OSError as error:
        raise UnsafeLogin(f"the password file {path} cannot be read: {error.strerror}") from error
    roots = status.st_uid == 0 and os.getuid() != 0
    if status.st_mode & (stat.S_IRWXO | (0 if roots else stat.S_IRWXG)):
        raise UnsafeLogin(f"others can read the password file {path}: run chmod 600 {path}")
    if not lines or not lines[0].strip():
        raise UnsafeLogin(f"the password file {path} is empty: write a password into its first line")
    return lines[0]


def _credentials(data: Any) -> tuple[str, str]:
    """The name and the password in a form, or in a program's JSON, which may be anything. Raises HTTPError."""
    if not isinstance(data, dict) or "username" not in data:  # JupyterHub's own page would fail on it
        raise web.HTTPError(400, "the form has no username")
    name, password = data["username"], data.get("password") or ""
    if not (isinstance(name, str) and name.isprintable() and isinstance(password, str)):
        raise web.HTTPError(400, "username and password must be texts, the username without control characters")
    return name, password


class LocalAuthenticator(Authenticator):  # type: ignore[misc] # JupyterHub has no types
    """The users in `allowed_users`, with one password for all, or with an empty one on loopback.

    Refuses to be made without a password on an address that others can reach.
    """

    bind_host = Unicode(
        "127.0.0.1",
        config=True,
        help="""Address that the door listens on; `KF_BIND_HOST` sets it. One that other machines can reach requires
        a password file. Default: 127.0.0.1.""",
    )
    hub_host = Unicode(
        "127.0.0.1",
        config=True,
        help="Address that the hub itself listens on; `KF_HUB_HOST` sets it. Default: 127.0.0.1.",
    )
    password_file = Unicode(
        "",
        config=True,
        help="""File that holds the password and that only its owner can read; `KF_PASSWORD_FILE` sets it. Default:
        none, and the password is empty.""",
    )

    proxy_secret = Unicode(
        "",
        config=True,
        help="""Secret between the hub and its proxy, by which the hub knows that a request came through the proxy;
        `CONFIGPROXY_AUTH_TOKEN` sets it. Default: none, and wrong passwords count for whoever opened the
        connection.""",
    )
    trusted_proxies = List(
        Unicode(),
        config=True,
        help="""Networks of the proxies in front of the door, such as 192.0.2.0/28: the address before them in
        X-Forwarded-For is the user's; `KF_TRUSTED_PROXIES` sets it. Default: none.""",
    )

    any_user = False
    """Whether every name may log in (and then, without a password file, with every password)."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._password = read_password(Path(self.password_file)) if self.password_file else None
        self._proxies = forwarded.networks(self.trusted_proxies)
        self._brake = Brake()
        if self._password is None:
            self._refuse_strangers("KF_BIND_HOST", self.bind_host)
            self._refuse_strangers("KF_HUB_HOST", self.hub_host)

    @default("allow_all")
    def _default_allow_all(self) -> bool:
        return self.any_user

    @property
    def without_password(self) -> bool:
        """Whether the password is empty; the login page shows it."""
        return self._password is None

    def get_handlers(self, app: Any) -> list[tuple[str, type[web.RequestHandler]]]:
        return [*super().get_handlers(app), *HANDLERS]

    async def authenticate(self, handler: web.RequestHandler, data: Any) -> str | None:
        name, given = _credentials(data)
        if self._password is not None:
            may_log_in = await self._may_log_in(name)
            right = self._is_right(given, self._password, handler, may_log_in)
        else:
            self._refuse_foreign_names(handler)
            right = not given or self.any_user
        return name if right else None

    async def _may_log_in(self, name: str) -> bool:
        """Whether JupyterHub will let this user in, with the password."""
        user = self.normalize_username(name)
        return bool(
            self.validate_username(user)
            and await maybe_future(self.check_blocked_users(user))
            and (self.allow_all or await maybe_future(self.check_allowed(user)))
        )

    def _is_right(self, given: str, password: str, handler: web.RequestHandler, may_log_in: bool) -> bool:
        """Compares the passwords, or raises Later after too many wrong ones. Waits for nothing, so guesses that come
        at the same time are counted one by one. With a name that may not log in the password is a wrong one, in every
        respect: else a guesser could tell the right one without a name."""
        browser = known(handler, password)
        source, stranger = browser or self._address(handler), browser is None
        if wait := self._brake.wait(source, stranger=stranger):
            raise Later(429, f"Too many wrong passwords. Try again in {in_words(wait)}.", seconds=wait)
        if not (is_secret(given, password) and may_log_in):
            self._brake.wrong(source, stranger=stranger)
            return False
        self._brake.right(source)
        remember(handler, password)
        return True

    def _address(self, handler: web.RequestHandler) -> str:
        """The address of the user's machine."""
        request = handler.request
        connection: Any = request.connection
        peer = connection.stream.socket.getpeername()[0]
        hops = request.headers.get(forwarded.FORWARDED_FOR, "")
        proven = forwarded.is_proven(self.proxy_secret, hops, request.headers.get(forwarded.PROOF, ""))
        return forwarded.neighbourhood((proven and forwarded.client(hops, self._proxies)) or peer)

    @staticmethod
    def _refuse_strangers(variable: str, host: str) -> None:
        if not is_loopback(host):
            raise UnsafeLogin(
                f"an empty password is possible only on loopback, and others can reach {host or 'all addresses'} "
                f"({variable}): set KF_PASSWORD_FILE to a file with a password (kf-spawner up --password-file), "
                f"configure KF_AUTHENTICATOR=iap behind an identity-aware proxy, or set {variable}=127.0.0.1"
            )

    def _refuse_foreign_names(self, handler: web.RequestHandler) -> None:
        host = host_name(handler.request.host)
        if not is_loopback(host):
            raise web.HTTPError(
                403, f"without a password, log in at {self.bind_host} or localhost only, not at {host!r}"
            )


class AnyUserAuthenticator(LocalAuthenticator):
    """Any user, any password, on loopback: for trying out several users (`KF_AUTHENTICATOR=null`)."""

    any_user = True
