"""Runs one command to its end and reads its output line by line; a cancel kills its process group."""

import asyncio
import collections
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

LONGEST_LINE = 4 * 1024 * 1024
TAIL_LINES = 25
GRACE = 5.0
"""Seconds from SIGINT to SIGKILL after a cancel."""


class CommandFailed(Exception):
    """The command did not start or did not end with exit code 0; `tail` is the end of its output."""

    def __init__(self, argv: Sequence[str], reason: str, tail: Sequence[str]) -> None:
        self.argv = list(argv)
        self.tail = "\n".join(tail)
        super().__init__(f"{Path(argv[0]).name} {' '.join(argv[1:2])} {reason}")


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_output: Callable[[str], None] = lambda line: None,
    on_error: Callable[[str], bool] = lambda line: False,
) -> None:
    """Runs `argv` (no shell, no input); `on_output` and `on_error` get each line at once.

    If `on_error` returns true, the line does not appear in the `tail` of a failure.

    The command has its own process group. So Ctrl-C in a terminal reaches it only when this call is cancelled, and
    no process that it started outlives this call. Raises CommandFailed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=dict(env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
    except OSError as error:
        raise CommandFailed(argv, f"cannot be started: {error}", []) from error
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)

    def note_error(line: str) -> None:
        if not on_error(line):
            tail.append(line)

    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_lines(process.stdout, on_output))
            group.create_task(_lines(process.stderr, note_error))
        code = await process.wait()
    finally:
        await asyncio.shield(_end(process))
    if code:
        reason = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        raise CommandFailed(argv, reason, tail)


async def _lines(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    while line := await stream.readline():
        on_line(line.decode(errors="replace").rstrip())


async def _end(process: asyncio.subprocess.Process) -> None:
    """Interrupts the process group, waits a little, kills the rest."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE)
    # Also after a normal end: a process that the command started may still live in the group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    # A process that is still dying holds the pipes open.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            for stream in (process.stdout, process.stderr):
                while stream and await stream.read(LONGEST_LINE):
                    pass
