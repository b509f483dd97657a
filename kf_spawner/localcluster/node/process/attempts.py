"""One attempt of one container: its files on disk, its shim, its end.

Owns the folder `pods/UID/containers/NAME/N/`. A new node reads there what an old node started; `shim.py` makes sure
that an attempt runs at most once.
"""

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from ..common.json_files import read_json, write_json
from . import shim
from .identity import MARK, ProcessName, kill_marked
from .records import ExitRecord, ShimSpec

log = logging.getLogger(__name__)

START_TIMEOUT = 30.0
KILL_PATIENCE = 15.0
SWEEP_INTERVAL = 0.02
LOST = 137
MESSAGE_FILE = "termination-log"


@dataclass(frozen=True)
class Exit:
    """How an attempt ended; times in nanoseconds since the epoch."""

    code: int
    signal: int
    started_at: int
    finished_at: int
    oom: bool = False
    error: str = ""  # why the process could not be started at all
    interrupted: bool = False  # ended because the node was stopped, not by itself

    @property
    def seconds(self) -> float:
        return (self.finished_at - self.started_at) / 1e9


class StartFailed(Exception):
    """The shim did not start: an error of the machine, not of the container."""


class Attempt:
    """A started attempt; `await wait()` gives its `Exit`."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.number = int(directory.name)
        # The file is missing if a node was killed while it removed the folder.
        self.spec = cast(ShimSpec, read_json(directory / "spec.json") or {})
        self.exit: Exit | None = None
        self._ended = asyncio.Event()
        self._shim: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._sweeping: asyncio.Task[None] | None = None
        self._started_at = 0
        self.shim_pid = 0

    @classmethod
    def start(cls, directory: Path, spec: ShimSpec) -> "Attempt":
        """Writes `spec.json`, then starts the shim. Await `started` next."""
        directory.mkdir(parents=True, exist_ok=True)
        (directory / MESSAGE_FILE).touch()
        write_json(directory / "spec.json", {**spec, "env": {**spec["env"], MARK: str(directory)}})
        attempt = cls(directory)
        attempt._spawn()
        return attempt

    async def started(self, *, timeout: float = START_TIMEOUT) -> None:
        """Returns once the process of the container runs, or could not start (then `exit` says why)."""
        assert self._shim is not None
        assert self._shim.stdout is not None
        try:
            line = await asyncio.wait_for(_read_line(self._shim.stdout.fileno()), timeout)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            raise StartFailed(f"the process did not start within {timeout:.0f} s") from None
        finally:
            self._shim.stdout.close()
        if not line:
            raise StartFailed(f"the shim did not start: {_tail(self.directory / 'shim.err')}")
        if json.loads(line)["error"]:
            await self.wait()

    def _spawn(self) -> None:
        with open(self.directory / "shim.err", "wb") as err:
            self._shim = subprocess.Popen(
                [sys.executable, "-I", "-S", shim.__file__, str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                start_new_session=True,
                cwd="/",
                env={"LC_ALL": "C.UTF-8"},
            )
        self._started_at = time.time_ns()
        self.shim_pid = self._shim.pid
        self._watch(os.pidfd_open(self._shim.pid))

    @classmethod
    def load(cls, directory: Path) -> "Attempt | None":
        """The attempt that an earlier node left in `directory`; None if it never began. Then it never will."""
        attempt = cls(directory)
        name = claim_for_nobody(directory)
        if name is None:
            shutil.rmtree(directory)
            return None
        attempt._started_at = name.claimed_at
        attempt.shim_pid = name.pid
        pidfd = name.open()
        if pidfd is not None:
            attempt._watch(pidfd)
        else:
            attempt._record_end()
        return attempt

    def _watch(self, pidfd: int) -> None:
        self._pidfd = pidfd
        asyncio.get_running_loop().add_reader(pidfd, self._on_shim_gone)

    def _on_shim_gone(self) -> None:
        self._unwatch()
        if self._shim is not None:
            self._shim.wait()
        else:
            with contextlib.suppress(
                ChildProcessError
            ):  # it may be a child of this process, from a worker that failed
                os.waitpid(self.shim_pid, os.WNOHANG)
        self._record_end()

    def _record_end(self) -> None:
        record: ExitRecord | None = read_json(self.directory / "exit.json")
        if record is None:
            self._sweeping = asyncio.create_task(self._sweep(), name=f"sweep {self.directory}")
        else:
            self._finish(record)

    async def _sweep(self) -> None:
        """The shim was killed. Its container's first process died with it; this kills all others."""
        clean = 0
        while clean < 2:  # a process has no mark for a moment, in the middle of an exec
            clean = 0 if kill_marked(str(self.directory)) else clean + 1
            await asyncio.sleep(SWEEP_INTERVAL)
        record: ExitRecord = {
            "exitCode": LOST,
            "signal": signal.SIGKILL,
            "startedAt": self._started_at,
            "finishedAt": time.time_ns(),
        }
        write_json(self.directory / "exit.json", record)
        self._finish(record)

    def _finish(self, record: ExitRecord) -> None:
        interrupted = (self.directory / "interrupted").exists()
        code = record["exitCode"]
        self.exit = Exit(
            code=128 + signal.SIGTERM if interrupted and code == 0 else code,
            signal=record.get("signal", 0),
            started_at=record["startedAt"],
            finished_at=record["finishedAt"],
            oom=record.get("oom", False),
            error=record.get("error", ""),
            interrupted=interrupted,
        )
        self._ended.set()

    @property
    def running(self) -> bool:
        return self.exit is None

    @property
    def started_at(self) -> int:
        return self._started_at

    async def wait(self) -> Exit:
        await self._ended.wait()
        assert self.exit is not None
        return self.exit

    def interrupt(self) -> None:
        """Records that this attempt ends because the node stops."""
        if self.running:
            (self.directory / "interrupted").touch()

    def terminate(self) -> None:
        """Sends SIGTERM to the container's own process."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kills the whole process tree."""
        self._signal(signal.SIGUSR1)

    async def kill_for_sure(self) -> Exit:
        """Kills the process tree, and also the shim if the shim does not finish."""
        self.kill()
        try:
            return await asyncio.wait_for(self.wait(), KILL_PATIENCE)
        except TimeoutError:
            log.warning("the shim of %s does not end its container; killing both", self.directory)
            self._signal(signal.SIGKILL)
            return await self.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _unwatch(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def detach(self) -> None:
        """Stops watching; the process continues."""
        self._unwatch()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._shim is not None and self.running:
            self._shim.returncode = 0  # we do not wait for it: this silences the destructor

    @staticmethod
    def files_of(directory: Path) -> list[Path]:
        """The log files of the attempt in `directory`, oldest first; the last one is the current log."""
        rotated = sorted(directory.glob("log.*"), key=lambda path: -int(path.suffix[1:]))
        return [*rotated, directory / "log"]


def claim_for_nobody(directory: Path) -> ProcessName | None:
    """The shim that runs the attempt in `directory`. If none has begun, makes sure that none will; returns None."""
    claim = directory / ".pid.none"
    claim.write_text("none\n")
    try:
        os.link(claim, directory / "pid")
    except FileExistsError:
        text = (directory / "pid").read_text()
        return None if text == "none\n" else ProcessName.parse(text)
    finally:
        claim.unlink()
    return None


def attempts_of(container: Path) -> list[Path]:
    """The attempt folders of a container, oldest first."""
    if not container.is_dir():
        return []
    return sorted((path for path in container.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


async def _read_line(fd: int) -> bytes:
    """One line from a pipe; empty if the other side closes it."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    os.set_blocking(fd, False)
    loop.add_reader(fd, readable.set)
    data = b""
    try:
        while not data.endswith(b"\n"):
            await readable.wait()
            readable.clear()
            chunk = os.read(fd, 4096)
            if not chunk:
                break
            data += chunk
    finally:
        loop.remove_reader(fd)
    return data


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-500:].strip() if path.exists() else "no output"
