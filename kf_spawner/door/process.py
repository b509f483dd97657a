"""Traefik as a child process that gets this process's signals and never outlives it."""

import asyncio
import ctypes
import signal
from collections.abc import Mapping, Sequence

PR_SET_PDEATHSIG = 1
"""See prctl(2)."""

_prctl = ctypes.CDLL(None).prctl


async def run(argv: Sequence[str], env: Mapping[str, str], stopping: asyncio.Event) -> int:
    """Runs the program until it ends; sends it SIGTERM once `stopping` is set. Returns the exit status, as a shell
    gives it: 128 and the signal's number where a signal ended it."""
    process = await asyncio.create_subprocess_exec(*argv, env=env, preexec_fn=_end_with_parent)
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


def _end_with_parent() -> None:
    """Ends Traefik if this process is killed: its port must be free for the next door."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
