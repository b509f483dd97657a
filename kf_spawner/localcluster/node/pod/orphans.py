"""Processes and folders of pods that no worker looks after: those of an earlier node, found on disk alone."""

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
    """Every attempt of these pods that still runs."""
    return [
        attempt
        for uid in uids
        for container in sorted(layout.containers(root, uid).glob("*"))
        for directory in attempts_of(container)
        if (attempt := Attempt.load(directory)) and attempt.running
    ]


async def end_pods(root: Path, uids: Iterable[str], *, grace: float, interrupt: bool = False) -> None:
    """Ends what runs of these pods, in `grace` seconds; hooks are not run.

    `interrupt` records that this is a node's stop: the next node starts again what should run.
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
    """The uids of all pods that have a folder."""
    return [folder.name for folder in layout.pods(root).glob("*")]


def kill_strays(attempts: Iterable[Attempt]) -> None:
    """Kills what an earlier node ran beside these running attempts (commands of hooks, probes and exec)."""
    for attempt in attempts:
        inside = set(descendants(attempt.shim_pid))
        for pid in marked(str(attempt.directory)):
            if pid not in inside:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
