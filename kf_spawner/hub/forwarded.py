"""Where a request to the hub comes from. Pure.

Anybody can send the header X-Forwarded-For, and users' servers reach the hub without its proxy. So the proxy signs
the header's value with the secret that it shares with the hub. Without this proof a request comes from whoever opened
the connection.
"""

import hmac
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from kf_spawner.same_secret import is_secret

FORWARDED_FOR = "X-Forwarded-For"
PROOF = "X-Kf-Forwarded-Proof"

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def proof(secret: str, forwarded_for: str) -> str:
    """The proxy's signature of a value of X-Forwarded-For, for the header `PROOF`."""
    # A caller's bytes that are no UTF-8 are no address either, and no error.
    return hmac.new(secret.encode(), forwarded_for.encode(errors="surrogatepass"), sha256).hexdigest()


def is_proven(secret: str, forwarded_for: str, given: str) -> bool:
    """Whether the hub's proxy has sent this value of X-Forwarded-For. Without a secret nothing is proven."""
    return bool(secret) and is_secret(given, proof(secret, forwarded_for))


def networks(texts: Sequence[str]) -> list[Network]:
    """Networks and addresses, such as 10.0.0.0/8 or 192.0.2.7. Raises ValueError for any other text."""
    return [ip_network(text, strict=False) for text in texts]


def client(forwarded_for: str, proxies: Sequence[Network]) -> str:
    """The last address in X-Forwarded-For that is not one of the proxies: each hop has added the one before it. Empty
    where a hop is no address."""
    hops = [parsed(hop) for hop in forwarded_for.split(",") if hop.strip()]
    for hop in reversed(hops):
        if hop is None or not any(hop in network for network in proxies):
            return str(hop or "")
    return str(hops[0]) if hops else ""


def neighbourhood(address: str) -> str:
    """What counts as one machine: an IPv4 address, the 48-bit network of an IPv6 address (one customer may
    have all of it), or all of loopback. Empty: no address."""
    machine = parsed(address)
    if machine is None:
        return ""
    if machine.is_loopback:
        return "loopback"
    return str(ip_network((int(machine), 48), strict=False) if isinstance(machine, IPv6Address) else machine)


def parsed(hop: str) -> Address | None:
    """The address in a hop such as 192.0.2.1, 192.0.2.1:80, 2001:db8::1 or [2001:db8::1]:80. None: no address."""
    text = hop.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
