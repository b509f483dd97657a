"""Traefik as a child process that gets this process's signals and sockets, and never outlives it."""

import asyncio
import ctypes
import fcntl
import os
import signal
import socket
from collections.abc import Mapping, Sequence

PR_SET_PDEATHSIG = 1
"""See prctl(2)."""

FIRST_SOCKET = 3
"""The descriptor of the first socket; see sd_listen_fds(3)."""

_prctl = ctypes.CDLL(None).prctl


async def run(
    argv: Sequence[str], env: Mapping[str, str], stopping: asyncio.Event, sockets: Mapping[str, socket.socket]
) -> int:
    """Runs the program until it ends; sends it SIGTERM once `stopping` is set. Returns the exit status, as a shell
    gives it: 128 and the signal's number where a signal ended it.

    `env`: variables beside this process's. `sockets`: what the program listens on, by names that it knows; it gets
    them as systemd gives sockets.
    """

    def prepare() -> None:
        _end_with_parent()
        _give(sockets)
        os.environ.update(env)

    # Python's descriptors are not inherited, those of `_give` are.
    process = await asyncio.create_subprocess_exec(*argv, preexec_fn=prepare, close_fds=False)
    ended = asyncio.create_task(process.wait())
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({ended, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
        code = await ended
    finally:
        stop.cancel()
    return code if code >= 0 else 128 - code


def _give(sockets: Mapping[str, socket.socket]) -> None:
    """Puts copies of the sockets where the program looks for them."""
    high = [
        fcntl.fcntl(each.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_SOCKET + len(sockets)) for each in sockets.values()
    ]
    for number, copy in enumerate(high, FIRST_SOCKET):
        os.dup2(copy, number)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(high)), LISTEN_FDNAMES=":".join(sockets))


def _end_with_parent() -> None:
    """Ends Traefik if this process is killed: its port must be free for the next door."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
