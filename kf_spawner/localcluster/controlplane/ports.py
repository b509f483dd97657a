"""Ports on loopback for the processes of one home directory: picked once, kept over restarts.

Owns `<home>/run/ports.json`. Knows names of ports, not who listens.
"""

import contextlib
import json
import random
import socket
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .private_files import private_folder, write_private

# Below the range that Linux gives to outgoing connections (32768 up), so that none of those takes a port of ours
# between two starts; above the ports that people and services usually pick.
FIRST, LAST = 20000, 32000
LOOPBACK = "127.0.0.1"


class PortError(Exception):
    """No port could be had; the message says what to do."""


def allocate(home: Path, names: Sequence[str], *, replace_busy: bool = False) -> dict[str, int]:
    """A port for each of `names`: the one this home had before, else a free one, which is kept.

    With `replace_busy` a kept port that somebody listens on now is replaced (a kubeconfig written before then names
    the old one): for a start after which nothing of this home runs. Names kept from earlier calls stay in the file.
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
    """Whether 127.0.0.1:`port` can be listened on now (a port in TIME_WAIT, or one that is only held, can)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return _bound(probe, port, shared=True)


@contextlib.contextmanager
def hold(ports: Iterable[int]) -> Iterator[None]:
    """Keeps everybody who looks for a port of their own off these, until those who are to listen there do.

    A bound socket that does not listen is no hindrance to one that does and says SO_REUSEADDR, as every server here
    does, but whoever asks for any free port gets another. A port that somebody else has already is let be.
    """
    with contextlib.ExitStack() as stack:
        for port in ports:
            _bound(stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)), port, shared=True)
        yield


def _bound(probe: socket.socket, port: int, *, shared: bool) -> bool:
    """Whether the socket is now bound there: `shared` with others that do not listen, or nobody's else at all."""
    if shared:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((LOOPBACK, port))
    except OSError:
        return False
    return True


def _pick(*, taken: set[int]) -> int:
    for _ in range(1000):
        port = random.randint(FIRST, LAST)  # random: two homes starting at once shall differ
        if port not in taken and _is_nobodys(port):
            return port
    raise PortError(f"no free port between {FIRST} and {LAST} on {LOOPBACK}: stop what listens there")


def _is_nobodys(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return _bound(probe, port, shared=False)


def _read(path: Path) -> dict[str, int]:
    try:
        return {str(name): int(port) for name, port in dict(json.loads(path.read_text())).items()}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError) as error:
        raise PortError(f"{path} is damaged ({error}); remove it: new ports are then picked") from error
