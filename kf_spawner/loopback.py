"""Which addresses of this machine nobody else can reach. Imports no room."""

import ipaddress
import re

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z._-]+)(?::[0-9]*)?")
"""The header `Host` (RFC 9110, 7.2): a name or an address, and a port."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name; of names, only localhost counts."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def host_name(header: str) -> str:
    """The name or address in a request's header `Host`, in lower case, without the port; empty for another form."""
    matched = _HOST.fullmatch(header)
    return matched["name"].strip("[]").lower() if matched else ""
