"""Decides who may log in: with an empty password on this machine, with a password, or as a proxy in front says.

Owns the authenticators that `KF_AUTHENTICATOR` names, and why each refuses to be made or refuses a login.
"""

from jupyterhub.auth import Authenticator

from .iap import IapAuthenticator
from .local import AnyUserAuthenticator, LocalAuthenticator

AUTHENTICATORS: dict[str, type[Authenticator]] = {
    "local": LocalAuthenticator,
    "null": AnyUserAuthenticator,
    "iap": IapAuthenticator,
}
"""Values of KF_AUTHENTICATOR."""
