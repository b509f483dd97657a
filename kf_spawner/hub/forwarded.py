"""Where a request to the hub comes from. Pure.

Anybody can send the header X-Forwarded-For, and users' servers reach the hub without its proxy. So the proxy signs
the header's value with the secret that it shares with the hub. Without this proof a request comes from whoever opened
the connection.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

FORWARDED_FOR = "X-Forwarded-For"
PROOF = "X-Kf-Forwarded-Proof"

Network = IPv4Network | IPv6Network


def proof(secret: str, forwarded_for: str) -> str:
    """The proxy's signature of a value of X-Forwarded-For, for the header `PROOF`."""
    return hmac.new(secret.encode(), forwarded_for.encode(), sha256).hexdigest()


def is_proven(secret: str, forwarded_for: str, given: str) -> bool:
    """Whether the hub's proxy has sent this value of X-Forwarded-For. Without a secret nothing is proven."""
    return bool(secret) and hmac.compare_digest(proof(secret, forwarded_for).encode(), given.encode())


def networks(texts: Sequence[str]) -> list[Network]:
    """Networks and addresses, such as 10.0.0.0/8 or 192.0.2.7. Raises ValueError for any other text."""
    return [ip_network(text, strict=False) for text in texts]


def client(forwarded_for: str, proxies: Sequence[Network]) -> str:
    """The last address in X-Forwarded-For that is not one of the proxies: each hop has added the one before it."""
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    for hop in reversed(hops):
        if not _is_in(hop, proxies):
            return hop
    return hops[0] if hops else ""


def neighbourhood(address: str) -> str:
    """What counts as one machine: an IPv4 address, or the 64-bit network of an IPv6 address. Empty: no address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or ip_network((parsed, 64), strict=False))
    return str(parsed)


def _is_in(hop: str, proxies: Sequence[Network]) -> bool:
    try:
        address = ip_address(hop)
    except ValueError:
        return False
    return any(address in network for network in proxies)
