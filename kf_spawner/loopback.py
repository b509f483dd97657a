"""Which addresses of this machine nobody else can reach. Imports no room."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name; of names, only localhost counts."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
