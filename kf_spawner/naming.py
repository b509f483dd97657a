"""Names of users and servers -> names that Kubernetes accepts, one for each, never the same for two.

Owns the names of namespaces, notebook pods and home claims. Pure: does no I/O and knows no other room.

Two promises, tested with generated names:

1. every result is a DNS-1123 label (lower-case letters, digits and inner dashes, at most 63 characters);
2. two different inputs never give the same result. Names that are fine stay themselves; a name that has to be
   altered carries a digest after a double dash, and a name that has a double dash of its own counts as one
   that has to be altered.
"""

import hashlib
import json
import re

MAX_LABEL = 63
"""Longest DNS-1123 label, in characters."""

NAMESPACE_PREFIX = "kf-"
"""The prefix of every user's namespace."""

PLATFORM_NAMESPACE = "kf-spawner"
"""Where the chart's documentation installs the platform: no user's namespace."""

_SEPARATOR = "--"
_DIGEST_LENGTH = 16  # 64 bits: a user cannot find a name with another user's digest by trying
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_DIGEST = re.compile(rf"[0-9a-f]{{{_DIGEST_LENGTH}}}")


def is_label(text: str) -> bool:
    """Whether Kubernetes takes this text as the name of a namespace, pod or claim."""
    return len(text) <= MAX_LABEL and _LABEL.fullmatch(text) is not None


def slug(text: str, *, max_length: int = MAX_LABEL) -> str:
    """A label for any text: itself where it can be, else its readable part, `--` and a digest of all of it."""
    return _compose("", (text,), max_length=max_length)


def user_namespace(user: str) -> str:
    """The namespace that holds all of a user's objects: `kf-admin`; never PLATFORM_NAMESPACE."""
    return _compose(NAMESPACE_PREFIX, (user,), taken=PLATFORM_NAMESPACE)


def server_pod(user: str, server: str = "") -> str:
    """The pod of a notebook server: `jupyter-admin`, or `jupyter-admin--lab2` for a named server."""
    return _compose("jupyter-", (user, server) if server else (user,))


def home_claim(user: str, server: str = "") -> str:
    """The claim of a server's home volume: `claim-admin`, or `claim-admin--lab2` for a named server."""
    return _compose("claim-", (user, server) if server else (user,))


def _compose(prefix: str, parts: tuple[str, ...], *, max_length: int = MAX_LABEL, taken: str = "") -> str:
    plain = prefix + _SEPARATOR.join(parts)
    # A last part that looks like a digest would look like an altered name.
    ambiguous = len(parts) > 1 and _DIGEST.fullmatch(parts[-1]) is not None
    if len(plain) <= max_length and all(map(_is_plain, parts)) and not ambiguous and plain != taken:
        return plain
    tail = _SEPARATOR + _digest(parts)
    room = max_length - len(prefix) - len(tail)
    if room < 1:
        raise ValueError(f"max_length={max_length} leaves no room for a name: give at least {max_length - room + 1}")
    return prefix + (_stem("-".join(parts))[:room].rstrip("-") or "x") + tail


def _is_plain(part: str) -> bool:
    return _LABEL.fullmatch(part) is not None and _SEPARATOR not in part


def _stem(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _digest(parts: tuple[str, ...]) -> str:
    # JSON keeps ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:_DIGEST_LENGTH]
