"""Processes and folders that an earlier node left: pods without a worker, found by their files on disk."""

import contextlib
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from ..common import layout
from ..common.deadlines import Deadline
from ..process.attempts import Attempt, attempts_of
from ..process.identity import marked
from ..process.shim import descendants


def running_attempts(root: Path, uids: Iterable[str]) -> list[Attempt]:
    """The attempts of these pods that still run."""
    return [
        attempt
        for uid in uids
        for container in sorted(layout.containers(root, uid).glob("*"))
        for directory in attempts_of(container)
        if (attempt := Attempt.load(directory)) and attempt.running
    ]


async def end_pods(root: Path, uids: Iterable[str], *, grace: float, interrupt: bool = False) -> None:
    """Ends the processes of these pods within `grace` seconds, without their hooks.

    `interrupt` records that the node was stopped: the next node restarts the pods that should run.
    """
    attempts = running_attempts(root, uids)
    deadline = Deadline(grace)
    for attempt in attempts:
        if interrupt:
            attempt.interrupt()
        attempt.terminate()
    for attempt in attempts:
        if not await deadline.met_by(attempt.wait()):
            await attempt.kill_for_sure()


def pods_on_disk(root: Path) -> list[str]:
    """The uid of each pod that has a folder."""
    return [folder.name for folder in layout.pods(root).glob("*")]


def kill_strays(attempts: Iterable[Attempt]) -> None:
    """Kills commands of hooks, probes and exec that an earlier node started in these running attempts."""
    for attempt in attempts:
        candidates = marked(str(attempt.directory))
        # Read after the candidates, so that what the container starts meanwhile is not one of them; and twice,
        # because one look misses a process whose parent ends meanwhile.
        inside = {*descendants(attempt.shim_pid), *descendants(attempt.shim_pid)}
        for pid in candidates:
            if pid not in inside:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
