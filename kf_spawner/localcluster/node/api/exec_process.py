"""A command beside a container's process: pipes or a terminal, its exit code, and the end of all it started.

Knows nothing of the protocol that carries its streams: those are callbacks and methods here.
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
"""Seconds that output may still come after the command's end, from what it left running."""
KILL_PASSES = 2
"""The second is for what was forked while the first looked."""
CHILD = Path(__file__).with_name("exec_child.py")

Output = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class ExecRequest:
    """What to run, and which of its streams the client wants."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False


class ExecProcess:
    """One command. start(), then write(), close_stdin() and resize() at will, wait() for its code, kill() always.

    Its pipes are our own, not asyncio's: there wait() would last until the last process that inherited them ends.
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
        """Raises OSError when it cannot be started."""
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
        """Gives input; returns when the command can take more. Input that nobody reads any more is dropped."""
        if self._input is not None:
            await write_all(self._input, data)

    async def close_stdin(self) -> None:
        """The client has no more input. On a terminal that is what Ctrl-D types."""
        if self._request.tty:
            await self.write(b"\x04")
        elif self._input is not None:
            self._close(self._input)
            self._input = None

    def resize(self, *, columns: int, rows: int) -> None:
        """The client's terminal has a new size."""
        if self._request.tty and self._input is not None:
            size = struct.pack("HHHH", clamp(rows), clamp(columns), 0, 0)
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """Its exit code once it has ended and its output was given; 128 + n after signal n."""
        assert self._process is not None
        code = await self._process.wait()
        if self._readers:
            await asyncio.wait(self._readers, timeout=DRAIN_TIMEOUT)
        return code if code >= 0 else 128 - code

    async def kill(self) -> None:
        """Ends the command and all of its session, and frees what it held.

        What must happen comes before the first await: a client that goes cancels whoever called this.
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
        """The command's side of a new terminal, three times; ours is read and written."""
        outer, inner = pty.openpty()
        self._input = self._keep(outer)
        self._read(outer, self._on_stdout)
        return inner, inner, inner

    def _pipes(self) -> tuple[int, int, int]:
        """The command's ends of a pipe for each stream that is wanted."""
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
    """Until the last process that has the other side open is gone."""
    while True:
        await ready(descriptor, for_writing=False)
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            continue
        except OSError:
            return  # EIO: how a terminal ends
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
            return  # EPIPE, EIO: nobody reads it any more


async def ready(descriptor: int, *, for_writing: bool) -> None:
    """Waits until `descriptor` can be read or written. When cancelled, ExecProcess.kill() cleans up."""
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
    """What a terminal's size can be."""
    return max(0, min(size, 0xFFFF))


def kill_session(session: int) -> None:
    for pid in session_members(session):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def session_members(session: int) -> list[int]:
    """Processes of a session: an interactive shell gives each of its jobs a group of its own."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # gone meanwhile
        if int(fields[3]) == session:
            members.append(int(stat.parent.name))
    return members
