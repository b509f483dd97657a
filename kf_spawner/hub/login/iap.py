"""Logs in the user whom Google's Identity-Aware Proxy names in a signed header (`KF_AUTHENTICATOR=iap`).

Owns which assertions are good. Anybody who reaches the hub can send the proxy's other headers: none of them counts.
Source: https://cloud.google.com/iap/docs/signed-headers-howto
"""

from typing import Any
from urllib.parse import urlsplit

import jwt
from jupyterhub.auth import Authenticator
from tornado import web
from traitlets import Unicode, default

from kf_spawner.loopback import is_loopback
from kf_spawner.serving import IAP_HEADER

from .later import Later
from .signing_keys import PAUSE, KeysUnavailable, SigningKeys
from .token_requests import HANDLERS
from .unsafe import UnsafeLogin

ISSUER = "https://cloud.google.com/iap"
ALGORITHM = "ES256"

LEEWAY = 30.0
"""Seconds by which Google's clock and ours may differ, as Google's page has it."""

EXTERNAL = {"gcip", "workforce_identity"}
"""Claims of users who are not Google's: of Identity Platform, and of workforce identity federation. Their address
need not be theirs, because another provider chooses it. Source: https://cloud.google.com/docs/authentication/token-types
"""

GOOGLE = "GOOGLE"
"""The `identity_source` of Google accounts. Older assertions have none."""


class IapAuthenticator(Authenticator):  # type: ignore[misc] # JupyterHub has no types
    """The user whom Google's Identity-Aware Proxy names and signs for (`KF_AUTHENTICATOR=iap`).

    The user's name is the address of the Google account. Refuses to be made without an audience.
    """

    auto_login = True
    login_service = "identity-aware proxy"

    audience = Unicode(
        "",
        config=True,
        help="""Audience of the signed header, such as /projects/123456789012/global/backendServices/1234567890: the
        "signed header JWT audience" of the backend on Google's page of Identity-Aware Proxy. `KF_IAP_AUDIENCE` sets
        it. Required.""",
    )
    keys_url = Unicode(
        "https://www.gstatic.com/iap/verify/public_key-jwk",
        config=True,
        help="""URL of the proxy's public keys, as a JWK set. They are fetched again after an hour, and when a header
        names a new key. Default: https://www.gstatic.com/iap/verify/public_key-jwk.""",
    )

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if not self.audience:
            raise UnsafeLogin(
                "KF_AUTHENTICATOR=iap needs KF_IAP_AUDIENCE, because Google signs headers for other services, too: "
                "set it to the signed header JWT audience that Google's page of Identity-Aware Proxy shows"
            )
        parts = urlsplit(self.keys_url)
        if parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise UnsafeLogin(f"IapAuthenticator.keys_url={self.keys_url}: give an address that begins with https://")
        self._keys = SigningKeys(self.keys_url)

    @default("allow_all")
    def _default_allow_all(self) -> bool:
        return True  # the proxy decides who may come

    def get_handlers(self, app: Any) -> list[tuple[str, type[web.RequestHandler]]]:
        return [*super().get_handlers(app), *HANDLERS]

    async def authenticate(self, handler: web.RequestHandler, data: dict[str, Any] | None = None) -> str:
        assertions = handler.request.headers.get_list(IAP_HEADER)
        if len(assertions) != 1:
            # None, or a second one that the proxy did not send.
            raise web.HTTPError(
                401, f"the identity-aware proxy sent no header {IAP_HEADER}: open the hub at its address"
            )
        try:
            return await self._user(assertions[0])
        except jwt.PyJWTError as error:
            self.log.warning("Refused a header %s: %s", IAP_HEADER, error)
            raise web.HTTPError(401, f"the header {IAP_HEADER} is not valid: {error}") from error
        except KeysUnavailable as error:
            self.log.error("Nobody can log in: %s", error)
            raise Later(503, f"{error}. Try again in {PAUSE:.0f} seconds", seconds=PAUSE) from error

    async def _user(self, assertion: str) -> str:
        """The user's name in a good assertion. Raises PyJWTError, KeysUnavailable."""
        header = jwt.get_unverified_header(assertion)
        if header.get("alg") != ALGORITHM:  # before a key is fetched for it
            raise jwt.InvalidAlgorithmError(f"its algorithm is not {ALGORITHM}")
        key = await self._keys.get(str(header.get("kid")))
        if key is None:
            raise jwt.InvalidKeyError("the proxy has no such key")
        return name_in(verified(assertion, key, self.audience))


def verified(assertion: str, key: jwt.PyJWK, audience: str) -> dict[str, Any]:
    """The claims of an assertion that the proxy signed with `key` for `audience`, now. Raises PyJWTError."""
    return jwt.decode(
        assertion,
        key,
        algorithms=[ALGORITHM],
        audience=audience,
        issuer=ISSUER,
        leeway=LEEWAY,
        options={"require": ["aud", "email", "exp", "iat", "iss"], "strict_aud": True},
    )


def name_in(claims: dict[str, Any]) -> str:
    """The address of the Google account that the claims name. Raises InvalidTokenError."""
    if EXTERNAL & claims.keys() or claims.get("identity_source", GOOGLE) != GOOGLE:
        raise jwt.InvalidTokenError("it names an external identity; only Google accounts can log in")
    email = claims["email"]
    if not isinstance(email, str) or "@" not in email:
        raise jwt.InvalidTokenError("its email is not an address")
    return email
