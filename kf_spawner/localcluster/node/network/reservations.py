"""Reserves what two nodes on one machine must not share: slices of the loopback network, and ports.

A reservation is an abstract Unix socket that this process holds. It needs no file, it ends with the process, and
every process of the same network sees it: these are the processes that it could collide with. Linux only.
"""

import errno
import hashlib
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path

SLICES = [number for number in range(2, 255) if number not in (20, 53)]
"""The second byte of a slice 127.N.0.0/16; many programs use 127.0 and 127.1, some resolvers 127.53."""

FIRST_PORT = 10000
LAST_PORT = 60999
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


class NothingFree(Exception):
    """Every slice or port of this machine is taken."""


class Reservations:
    """The slice and ports that this process holds."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}

    def take(self, name: str) -> bool:
        """Reserves `name` on this machine. False if another process has it; True also if we already have it."""
        if name in self._held:
            return True
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0kf-spawner/{name}")
        except OSError as error:
            holder.close()
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        self._held[name] = holder
        return True

    def drop(self, name: str) -> None:
        holder = self._held.pop(name, None)
        if holder is not None:
            holder.close()

    def close(self) -> None:
        for name in list(self._held):
            self.drop(name)

    def take_slice(self, *, wanted: int | None, seed: str) -> int:
        """Reserves a slice and returns its number: `wanted` if it is free, else one derived from `seed`."""
        start = _number(seed) % len(SLICES)
        order = [*([wanted] if wanted in SLICES else []), *SLICES[start:], *SLICES[:start]]
        for number in order:
            if number is not None and self.take(f"slice/{number}"):
                return number
        raise NothingFree(f"all {len(SLICES)} slices of 127.0.0.0/8 are in use by other nodes on this machine")

    def take_port(self, *, seed: str, avoid: Iterable[int] = ()) -> int:
        """Reserves a port that nobody listens on and no other node has. A `seed` usually gives the same port."""
        avoided = set(avoid)
        for port in candidate_ports(seed):
            if port not in avoided and self.take(f"port/{port}"):
                if port_is_free(port):
                    return port
                self.drop(f"port/{port}")
        raise NothingFree("no TCP port of this machine is free")

    def drop_port(self, port: int) -> None:
        self.drop(f"port/{port}")


def candidate_ports(seed: str, *, ephemeral: tuple[int, int] | None = None) -> Iterator[int]:
    """Ports to try: first those that the kernel never uses for outgoing connections."""
    low, high = ephemeral or _ephemeral_range()
    outside = [port for port in range(FIRST_PORT, LAST_PORT + 1) if not low <= port <= high]
    inside = list(range(max(low, FIRST_PORT), min(high, LAST_PORT) + 1))
    for ports in (outside, inside):
        start = _number(seed) % len(ports) if ports else 0
        yield from ports[start:]
        yield from ports[:start]


def port_is_free(port: int) -> bool:
    """Whether a program could listen on `port` at every address of this machine, now."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            probe = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue  # a machine without IPv6
        with probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if error.errno in (errno.EADDRINUSE, errno.EACCES):
                    return False
    return True


def _ephemeral_range() -> tuple[int, int]:
    try:
        low, high = EPHEMERAL.read_text().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 32768, 60999


def _number(seed: str) -> int:
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
