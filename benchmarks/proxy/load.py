"""What is asked of a proxy. Each function loads one port and returns how often and how long."""

import select
import socket
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kf_spawner.serving import DOOR_TOKEN_HEADER

from .frames import Frames, frame

TOKEN = "door-secret"
HEAD = f"Host: 127.0.0.1\r\n{DOOR_TOKEN_HEADER}: {TOKEN}\r\n"
PIECE = bytes(2**20)
SMALL = 100
"""Bytes of a small answer's body."""
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
PATIENCE = 120.0
"""Seconds for the next bytes."""


class Load(NamedTuple):
    """`count` units of work in `seconds`; `middle` and `slow`: the median and the 99th percentile of the seconds that
    one took."""

    count: float
    seconds: float
    middle: float
    slow: float


def requests(port: int, *, connections: int, seconds: float, target: str = "/user/x/small", more: str = "") -> Load:
    """Small requests: each connection sends its next one when it has its answer. `more`: header lines."""
    sockets = [_connected(port) for _ in range(connections)]
    return _round_trips(sockets, _request(target, more=more), [_Answer() for _ in sockets], seconds)


def messages(port: int, *, connections: int, seconds: float, size: int) -> Load:
    """WebSocket messages of `size` bytes: each connection sends its next one when the last has come back."""
    sockets = [web_socket(port) for _ in range(connections)]
    return _round_trips(sockets, frame(size, masked=True), [_Message() for _ in sockets], seconds)


def web_socket(port: int) -> socket.socket:
    """A WebSocket that is open."""
    connection = _connected(port)
    connection.sendall(_request("/user/x/socket", more=HANDSHAKE))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 "), head
    return connection


def download(port: int, size: int) -> Load:
    """A body of `size` bytes; a unit of work is 2^30 bytes."""
    with _connected(port) as connection:
        buffer, got = bytearray(2**20), 0
        began = time.perf_counter()
        connection.sendall(_request(f"/user/x/bytes/{size}", more="Connection: close\r\n"))
        while taken := connection.recv_into(buffer):
            got += taken
        assert got > size, f"{got} of {size} bytes came"
        return _body(size, time.perf_counter() - began)


def upload(port: int, size: int) -> Load:
    """The same in the other direction."""
    with _connected(port) as connection:
        began = time.perf_counter()
        more = f"Content-Length: {size}\r\nConnection: close\r\n"
        connection.sendall(_request("/user/x/sink", method="PUT", more=more))
        for _ in range(size // len(PIECE)):
            connection.sendall(PIECE)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
        return _body(size, time.perf_counter() - began)


def proc_value(pid: int, file: str, field: str) -> float:
    """A field of `status` or `smaps_rollup` (proc(5)), in MB."""
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) / 1024


def forget_peak(pid: int) -> None:
    """VmHWM starts again at what is resident now (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class _Answer:
    """Finds the end of a small answer."""

    def __init__(self) -> None:
        self._held = b""

    def is_whole(self, data: bytes) -> bool:
        self._held += data
        head, end, body = self._held.partition(b"\r\n\r\n")
        if not end or len(body) < SMALL:
            return False
        assert head.startswith(b"HTTP/1.1 200 "), head
        self._held = b""
        return True


class _Message:
    """Finds the end of a message."""

    def __init__(self) -> None:
        self._frames = Frames()

    def is_whole(self, data: bytes) -> bool:
        return bool(list(self._frames.feed(data)))


def _round_trips(
    sockets: list[socket.socket], question: bytes, readers: "list[_Answer] | list[_Message]", seconds: float
) -> Load:
    poll = select.epoll()
    number_of = {each.fileno(): number for number, each in enumerate(sockets)}
    took: list[float] = []
    sent = []
    began = time.perf_counter()
    for each in sockets:
        poll.register(each.fileno(), select.EPOLLIN)
        sent.append(time.perf_counter())
        each.sendall(question)
    now = began
    while now < began + seconds:
        for file, _ in poll.poll(PATIENCE):
            number = number_of[file]
            data = sockets[number].recv(2**18)
            assert data, "the proxy closed the connection"
            if readers[number].is_whole(data):
                now = time.perf_counter()
                took.append(now - sent[number])
                sent[number] = now
                sockets[number].sendall(question)
    for each in sockets:
        each.close()
    took.sort()
    return Load(len(took), now - began, statistics.median(took), took[len(took) * 99 // 100])


def _body(size: int, seconds: float) -> Load:
    return Load(size / 2**30, seconds, seconds, seconds)


def _request(target: str, *, method: str = "GET", more: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\n{HEAD}{more}\r\n".encode()


def _connected(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


Run = Callable[[int], Load]
"""Loads the port."""
