"""Ports on loopback for the processes of one home directory: picked once and kept over restarts.

Owns `<home>/run/ports.json`. Knows the names of ports, not who listens.
"""

import contextlib
import json
import random
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .private_files import private_folder, write_private

# Below the range of Linux for outgoing connections (from 32768), so that none takes our port between two starts;
# above the ports that people and services usually pick.
FIRST, LAST = 20000, 32000
LOOPBACK = "127.0.0.1"


class PortError(Exception):
    """No port is free; the message says what to do."""


def allocate(home: Path, names: Sequence[str], *, replace_busy: bool = False) -> dict[str, int]:
    """A port for each of `names`: the one this home had before, else a free one, which is kept.

    `replace_busy` replaces a kept port if somebody listens there now: for a start when nothing of this home runs. A
    kubeconfig from before then names the old port. Names from earlier calls stay in the file.
    """
    path = private_folder(home / "run") / "ports.json"
    kept = _read(path)
    wanted = dict(kept)
    for name in names:
        if name not in wanted or (replace_busy and not is_free(wanted[name])):
            wanted[name] = _pick(taken=set(wanted.values()))
    if wanted != kept:
        write_private(path, json.dumps(wanted, indent=1, sort_keys=True).encode())
    return {name: wanted[name] for name in names}


def is_free(port: int) -> bool:
    """Whether a process can listen on 127.0.0.1:`port` now (also if it is in TIME_WAIT or held by `hold`)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return _bound(probe, port, shared=True)


@contextlib.contextmanager
def hold(ports: Iterable[int]) -> Iterator[None]:
    """Keeps other programs that look for a free port away from these ports, until our servers listen.

    A bound socket that does not listen does not stop a server with SO_REUSEADDR, as all our servers have. But a
    program that asks for any free port gets another one. Skips a port that is already taken.
    """
    with contextlib.ExitStack() as stack:
        for port in ports:
            _bound(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)), port, shared=True)
        yield


def _bound(probe: socket.socket, port: int, *, shared: bool) -> bool:
    """Binds the socket; False if that fails. `shared`: also if other sockets are bound there but do not listen."""
    if shared:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def _pick(*, taken: set[int]) -> int:
    for _ in range(1000):
        port = random.randint(FIRST, LAST)  # random, so that two homes that start at once differ
        if port not in taken and _is_nobodys(port):
            return port
    raise PortError(f"no free port between {FIRST} and {LAST} on {LOOPBACK}: stop some programs that listen there")


def _is_nobodys(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return _bound(probe, port, shared=False)


def _read(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in dict(json.loads(path.read_text())).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise PortError(f"{path} is damaged ({error}); remove it, then start again with new ports") from error
