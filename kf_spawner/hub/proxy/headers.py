"""Which headers a proxy passes on. Pure."""

import re
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers that are about one connection (RFC 9110, 7.6.1)."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def has_control_characters(texts: Iterable[str]) -> bool:
    """Whether a value or a reason has a control character, which none may have but a tab (RFC 9110, 5.5)."""
    return any(_CONTROL.search(text) for text in texts)


def passed_on(headers: CIMultiDictProxy[str], *, without: Iterable[str] = ()) -> CIMultiDict[str]:
    """The headers without hop-by-hop ones, those that `Connection` names, and those in `without`."""
    kept = CIMultiDict(headers)
    named = {name.strip().lower() for value in headers.getall("Connection", ()) for name in value.split(",")}
    for name in HOP_BY_HOP | named | {name.lower() for name in without}:
        kept.popall(name, None)
    return kept


def set_web_socket(headers: CIMultiDict[str]) -> None:
    """Says that this connection becomes a WebSocket."""
    headers["Connection"] = "Upgrade"
    headers["Upgrade"] = "websocket"


def is_web_socket(headers: CIMultiDictProxy[str]) -> bool:
    """Whether a request or an answer changes the connection into a WebSocket (RFC 6455, 4)."""
    return headers.get("Upgrade", "").lower() == "websocket"
