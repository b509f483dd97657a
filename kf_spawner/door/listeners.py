"""The sockets that the door listens on. They let nobody in until Traefik has its routes.

Traefik listens before it has a configuration and answers 404 to all until then. To a client that is final: a model
that does not exist, a notebook that is gone. So Traefik gets its sockets from here, and a filter of the kernel
(SO_ATTACH_FILTER, `socket(7)`) drops who connects meanwhile, but for the connection that looks for the routes. Each
client's system tries again after a second: its request waits.
"""

import asyncio
import contextlib
import ctypes
import logging
import socket
import struct
from collections.abc import Mapping

from kf_spawner.serving import DOOR_HEADER, address

log = logging.getLogger(__name__)

PATIENCE = 30.0
"""Seconds after which all are let in whatever Traefik answers: a look that fails must not keep everybody out."""

PAUSE = 0.02
"""Seconds between two looks. Traefik tells nobody that it has its routes."""

SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class Listeners:
    """Use as a context manager, which closes what is left open. `addresses`: host and port by an entry point's name;
    `looked_at`: the name of the one that has routes when all have them; `closed`: the names of those that let nobody
    in meanwhile.

    Raises OSError where an address cannot be listened on.
    """

    def __init__(self, addresses: Mapping[str, tuple[str, int]], *, looked_at: str, closed: frozenset[str]) -> None:
        self._closed = closed
        with contextlib.ExitStack() as stack:
            found = {name: _found(host, port) for name, (host, port) in addresses.items()}
            self._where = found[looked_at][1]
            self._look = stack.enter_context(socket.socket(found[looked_at][0], socket.SOCK_STREAM))
            self._look.bind((_REACHED_AT.get(self._where[0], self._where[0]), 0))
            self.sockets: dict[str, socket.socket] = {}
            for name, (family, where) in found.items():
                self.sockets[name] = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                self._listen(name, where)
            self._open = stack.pop_all()

    def __enter__(self) -> "Listeners":
        return self

    def __exit__(self, *_exc: object) -> None:
        self._open.close()

    async def let_in(self) -> None:
        """Returns once there are routes and everybody is let in. Traefik has the sockets by then. Here they are
        closed, else a client would wait in their queues for ever once Traefik has closed its own."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._routes()
        except (TimeoutError, OSError, EOFError) as error:
            log.error("Whether Traefik has its routes could not be seen: %s", error or "it took too long")
        for name in self._closed & self.sockets.keys():
            with contextlib.suppress(OSError):  # it has no filter
                self.sockets[name].setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
        self._open.close()

    async def _routes(self) -> None:
        self._look.setblocking(False)
        host = _REACHED_AT.get(self._where[0], self._where[0])
        await asyncio.get_running_loop().sock_connect(self._look, (host, *self._where[1:]))
        reader, writer = await asyncio.open_connection(sock=self._look)
        try:
            while True:
                writer.write(f"HEAD {address.PREFIX} HTTP/1.1\r\nHost: door\r\n\r\n".encode())
                answer = await reader.readuntil(b"\r\n\r\n")
                if f"\r\n{DOOR_HEADER}: ".lower().encode() in answer.lower():
                    return
                await asyncio.sleep(PAUSE)
        finally:
            writer.close()

    def _listen(self, name: str, where: tuple[str, int]) -> None:
        made = self.sockets[name]
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            made.bind(where)
            if name in self._closed:
                _keep_out(made, all_but=self._look.getsockname()[1])
            made.listen(socket.SOMAXCONN)
        except OSError as error:
            raise OSError(error.errno, f"cannot listen on {where[0]}:{where[1]}: {error.strerror}") from error


def _found(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The family and address of a host, which may be a name; IPv4 before IPv6."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
    return family, (str(where[0]), port)


def _keep_out(listening: socket.socket, *, all_but: int) -> None:
    """Drops each segment that does not come from this TCP port. A system without filters drops nothing."""
    instructions = (
        (0x28, 0, 0, 0),  # load the segment's first 16 bits: the port that it comes from
        (0x15, 0, 1, all_but),  # another one: skip the next instruction
        (0x06, 0, 0, 0xFFFFFFFF),  # take all of it
        (0x06, 0, 0, 0),  # take nothing of it
    )
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in instructions))
    with contextlib.suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(instructions), ctypes.addressof(program))
        )
