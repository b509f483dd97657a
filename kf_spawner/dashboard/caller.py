"""Who calls, and which namespaces are theirs. Pure: from the hub's answer about a token."""

from dataclasses import dataclass
from typing import Any

from kf_spawner.naming import NAMESPACE_PREFIX, is_label, user_namespace


@dataclass(frozen=True)
class Caller:
    """A user of the hub; `admin` sees every user's namespace."""

    name: str
    admin: bool = False

    @property
    def namespace(self) -> str:
        """The user's own."""
        return user_namespace(self.name)

    def may(self, namespace: str) -> bool:
        """Whether this user may see and change what is in a namespace."""
        return namespace == self.namespace or (self.admin and is_users(namespace))


def is_users(namespace: str) -> bool:
    """Whether a namespace has a user's name: the dashboard ignores all others."""
    return namespace.startswith(NAMESPACE_PREFIX) and is_label(namespace)


def caller_of(model: dict[str, Any]) -> Caller | None:
    """The caller of the hub's user model; None for a service, which has no namespace."""
    if model.get("kind", "user") != "user":
        return None
    return Caller(model["name"], admin=model.get("admin") is True)
