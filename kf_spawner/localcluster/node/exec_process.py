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
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = 32 * 1024
DRAIN_TIMEOUT = 1.0
"""Seconds that output may still come after the command's end, from what it left running."""
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
    """One command. start(), then write(), close_stdin() and resize() at will, wait() for its code, kill() always."""

    def __init__(self, request: ExecRequest, *, on_stdout: Output, on_stderr: Output) -> None:
        self._request = request
        self._on_stdout = on_stdout
        self._on_stderr = on_stderr
        self._process: Process | None = None
        self._terminal: int | None = None
        self._readers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Raises OSError when it cannot be started."""
        if self._request.tty:
            await self._start_in_terminal()
        else:
            await self._start_with_pipes()

    async def write(self, data: bytes) -> None:
        """Gives input; returns when the command can take more. Input that nobody reads any more is dropped."""
        if self._terminal is not None:
            await write_all(self._terminal, data)
        elif self._process and self._process.stdin:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(data)
                await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        """The client has no more input. On a terminal that is what Ctrl-D types."""
        if self._terminal is not None:
            await write_all(self._terminal, b"\x04")
        elif self._process and self._process.stdin:
            self._process.stdin.close()

    def resize(self, *, columns: int, rows: int) -> None:
        """The client's terminal has a new size."""
        if self._terminal is not None:
            size = struct.pack("HHHH", clamp(rows), clamp(columns), 0, 0)
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    async def wait(self) -> int:
        """Its exit code once it has ended and its output was given; 128 + n after signal n."""
        assert self._process is not None
        code = await self._process.wait()
        if self._readers:
            await asyncio.wait(self._readers, timeout=DRAIN_TIMEOUT)
        return code if code >= 0 else 128 - code

    async def kill(self) -> None:
        """Ends the command and all of its session, and frees what it held."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        if self._process is not None:
            for pid in session_members(self._process.pid):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            await self._process.wait()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    async def _start_with_pipes(self) -> None:
        request = self._request
        self._process = await asyncio.create_subprocess_exec(
            *self._argv(),
            env=dict(request.env),
            cwd=request.cwd,
            stdin=PIPE if request.stdin else DEVNULL,
            stdout=PIPE if request.stdout else DEVNULL,
            stderr=PIPE if request.stderr else DEVNULL,
            start_new_session=True,
        )
        for pipe, output in ((self._process.stdout, self._on_stdout), (self._process.stderr, self._on_stderr)):
            if pipe is not None:
                self._readers.append(asyncio.create_task(copy_pipe(pipe, output)))

    async def _start_in_terminal(self) -> None:
        self._terminal, inner = pty.openpty()
        try:
            os.set_blocking(self._terminal, False)
            self._process = await asyncio.create_subprocess_exec(
                *self._argv(),
                env={"TERM": "xterm", **self._request.env},
                cwd=self._request.cwd,
                stdin=inner,
                stdout=inner,
                stderr=inner,
                start_new_session=True,
            )
        finally:
            os.close(inner)
        self._readers.append(asyncio.create_task(copy_terminal(self._terminal, self._on_stdout)))

    def _argv(self) -> list[str]:
        terminal = "tty" if self._request.tty else "-"
        return [sys.executable, "-I", "-S", str(CHILD), str(os.getpid()), terminal, *self._request.argv]


async def copy_pipe(pipe: asyncio.StreamReader, output: Output) -> None:
    while data := await pipe.read(CHUNK):
        await output(data)


async def copy_terminal(descriptor: int, output: Output) -> None:
    """Until the last process that has the terminal open is gone."""
    while True:
        await ready(descriptor, for_writing=False)
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            continue
        except OSError:
            return  # EIO: nobody has the other side open
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
            return  # EIO: nobody has the other side open


async def ready(descriptor: int, *, for_writing: bool) -> None:
    """Waits until `descriptor` can be read or written."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if for_writing else (loop.add_reader, loop.remove_reader)
    add(descriptor, finish, future)
    try:
        await future
    finally:
        remove(descriptor)


def finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def clamp(size: int) -> int:
    """What a terminal's size can be."""
    return max(0, min(size, 0xFFFF))


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
