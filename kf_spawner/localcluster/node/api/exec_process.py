"""An extra command in a container: its pipes or terminal, its exit code, and the end of everything it started.

Knows nothing of the protocol that carries its streams: it offers methods for input and calls back with output.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = 32 * 1024
DRAIN_TIMEOUT = 1.0
"""Seconds to wait for output after the command has ended: processes that it left may still write."""
KILL_PASSES = 2
"""Rounds of killing: the second reaches what was forked during the first."""
CHILD = Path(__file__).with_name("exec_child.py")

Output = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ExecRequest:
    """The command, and the streams that the client wants."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class ExecProcess:
    """One command. start(), then write(), close_stdin() and resize() at will, wait() for its code, kill() always.

    It makes its own pipes: with those of asyncio, wait() would last until every process that inherited them ends.
    """

    def __init__(self, request: ExecRequest, *, on_stdout: Output, on_stderr: Output) -> None:
        self._request = request
        self._on_stdout = on_stdout
        self._on_stderr = on_stderr
        self._process: Process | None = None
        self._open: set[int] = set()
        self._input: int | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises OSError if the command cannot start."""
        theirs = self._terminal() if self._request.tty else self._pipes()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._argv(),
                env={"TERM": "xterm", **self._request.env} if self._request.tty else dict(self._request.env),
                cwd=self._request.cwd,
                stdin=theirs[0],
                stdout=theirs[1],
                stderr=theirs[2],
                start_new_session=True,
            )
        finally:
            for descriptor in set(theirs) - {DEVNULL}:
                os.close(descriptor)

    async def write(self, data: bytes) -> None:
        """Writes input; returns when the command can take more. Drops input that no process reads."""
        if self._input is not None:
            await write_all(self._input, data)

    async def close_stdin(self) -> None:
        """The client has no more input. On a terminal, this types Ctrl-D."""
        if self._request.tty:
            await self.write(b"\x04")
        elif self._input is not None:
            self._close(self._input)
            self._input = None

    def resize(self, *, columns: int, rows: int) -> None:
        """Sets the size of the terminal."""
        if self._request.tty and self._input is not None:
            size = struct.pack("HHHH", clamp(rows), clamp(columns), 0, 0)
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """The exit code, once the command has ended and its output is delivered; 128 + n after signal n."""
        assert self._process is not None
        code = await self._process.wait()
        if self._readers:
            await asyncio.wait(self._readers, timeout=DRAIN_TIMEOUT)
        return code if code >= 0 else 128 - code

    async def kill(self) -> None:
        """Kills the command and its whole session, and frees its descriptors.

        The essential part comes before the first await: a client that goes cancels the caller.
        """
        for reader in self._readers:
            reader.cancel()
        if self._process is not None:
            for _ in range(KILL_PASSES):
                kill_session(self._process.pid)
        self._input = None
        for descriptor in tuple(self._open):
            self._close(descriptor)
        await asyncio.gather(*self._readers, return_exceptions=True)
        if self._process is not None:
            await self._process.wait()

    def _terminal(self) -> tuple[int, int, int]:
        """The command's side of a new terminal, for its three streams; we read and write the other side."""
        outer, inner = pty.openpty()
        self._input = self._keep(outer)
        self._read(outer, self._on_stdout)
        return inner, inner, inner

    def _pipes(self) -> tuple[int, int, int]:
        """The command's ends of the pipes, one for each stream that the client wants."""
        theirs = [DEVNULL, DEVNULL, DEVNULL]
        if self._request.stdin:
            theirs[0], ours = os.pipe()
            self._input = self._keep(ours)
        outputs = ((self._request.stdout, self._on_stdout), (self._request.stderr, self._on_stderr))
        for number, (wanted, output) in enumerate(outputs, start=1):
            if wanted:
                ours, theirs[number] = os.pipe()
                self._read(self._keep(ours), output)
        return theirs[0], theirs[1], theirs[2]

    def _read(self, descriptor: int, output: Output) -> None:
        self._readers.append(asyncio.create_task(copy(descriptor, output)))

    def _keep(self, descriptor: int) -> int:
        os.set_blocking(descriptor, False)
        self._open.add(descriptor)
        return descriptor

    def _close(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(descriptor)
        loop.remove_writer(descriptor)
        self._open.discard(descriptor)
        os.close(descriptor)

    def _argv(self) -> list[str]:
        terminal = "tty" if self._request.tty else "-"
        return [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), terminal, *self._request.argv]


async def copy(descriptor: int, output: Output) -> None:
    """Copies until no process has the other side open."""
    while True:
        await ready(descriptor, for_writing=False)
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            continue
        except OSError:
            return  # EIO: the terminal has ended
        if not data:
            return
        await output(data)


async def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await ready(descriptor, for_writing=True)
        except OSError:
            return  # EPIPE, EIO: no process reads it


async def ready(descriptor: int, *, for_writing: bool) -> None:
    """Waits until `descriptor` can be read or written. After a cancel, ExecProcess.kill() cleans up."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if for_writing else (loop.add_reader, loop.remove_reader)
    add(descriptor, finish, future)
    await future
    remove(descriptor)


def finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def clamp(size: int) -> int:
    """The nearest size that a terminal can have."""
    return max(0, min(size, 0xFFFF))


def kill_session(session: int) -> None:
    for pid in session_members(session):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def session_members(session: int) -> list[int]:
    """The processes of a session: an interactive shell puts each job into its own process group."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if int(fields[3]) == session:
            members.append(int(stat.parent.name))
    return members
