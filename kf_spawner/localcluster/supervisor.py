"""Starts processes in order, restarts them with back-off, and stops them together.

Owns the life of the processes of the local product; knows nothing of what they do.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START_TIMEOUT = 120.0
START_ATTEMPTS = 3
READY_POLL = 0.05
MIN_BACKOFF = 0.5
MAX_BACKOFF = 10.0
STEADY = 30.0  # after this many seconds of life, the back-off starts again
LOG_LIMIT = 20 * 1024 * 1024
LOG_POLL = 10.0  # seconds between two checks of the size of the logs
TAIL_LINES = 20
MARK = "KF_RUN_DIR"
"""Environment variable of every component and its children: the folder of the records of the supervisor."""


class ComponentFailed(Exception):
    """A component cannot start: the message has its name, the reason and the end of its log."""


class NotReady(Exception):
    """`ready` may raise it instead of returning false, with the reason. A time-out message shows the reason."""


@dataclass(frozen=True)
class ProcessSpec:
    """One process. `ready` is polled until it returns true; `after` names the processes that must be ready first.

    `ready` may raise NotReady; any other error ends the start. `env` is the whole environment except MARK;
    `stop_timeout` is the time from SIGTERM to SIGKILL in seconds. The start does not wait for a `late` process; if
    that process cannot start, the supervisor keeps trying while the others run.
    """

    name: str
    argv: list[str]
    env: dict[str, str]
    ready: Callable[[], Awaitable[bool]] | None
    after: tuple[str, ...] = ()
    stop_timeout: float = 10.0
    late: bool = False


@dataclass
class _Component:
    spec: ProcessSpec
    process: asyncio.subprocess.Process | None = None
    first_ready: asyncio.Event = field(default_factory=asyncio.Event)
    restarts: int = 0
    started: float = 0.0
    last_exit: str = ""
    reason: str = ""


class Supervisor:
    """Runs `specs` and reports events to `say`, one sentence at a time.

    Each process has its own session, so Ctrl-C in the terminal reaches only the supervisor. Its output goes to
    `<log_dir>/<name>.log`; a long log moves to `.log.1`. `<run_dir>/<name>.json` records its pid and start time, so
    that `reap` finds the processes of a killed supervisor. The pause before a restart doubles from half a second to
    `max_backoff` seconds.
    """

    def __init__(
        self,
        specs: list[ProcessSpec],
        *,
        run_dir: Path,
        log_dir: Path,
        say: Callable[[str], None],
        max_backoff: float = MAX_BACKOFF,
    ):
        self._components = {spec.name: _Component(spec) for spec in specs}
        self._run_dir = run_dir
        self._log_dir = log_dir
        self._say = say
        self._max_backoff = max_backoff
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._logs: asyncio.Task[None] | None = None
        self._stopping = False
        for folder in (run_dir, log_dir):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    async def start(self) -> None:
        """Returns when every component except late ones is ready. Raises ComponentFailed if one cannot start."""
        for name, component in self._components.items():
            self._tasks[name] = asyncio.create_task(self._keep(component), name=name)
        self._logs = asyncio.create_task(self._keep_logs_short())
        ready = asyncio.create_task(self._all_ready(self._awaited()))
        failed = asyncio.create_task(self.failure())
        try:
            await asyncio.wait({ready, failed}, return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
        finally:
            for waiter in (ready, failed):
                waiter.cancel()
                with contextlib.suppress(asyncio.CancelledError, ComponentFailed):
                    await waiter

    def _awaited(self) -> list[str]:
        return [name for name, component in self._components.items() if not component.spec.late]

    async def _all_ready(self, names: Iterable[str]) -> None:
        await asyncio.gather(*(self._components[name].first_ready.wait() for name in names))

    async def failure(self) -> None:
        """Never returns. Raises ComponentFailed if a component cannot start."""
        done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        raise ComponentFailed("no component is left")

    async def stop(self) -> None:
        """Stops all components, dependents first; returns when no process is left."""
        self._stopping = True
        tasks = [*self._tasks.values(), *([self._logs] if self._logs else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for level in _stop_order([component.spec for component in self._components.values()]):
            await asyncio.gather(*(self._end(self._components[name]) for name in level))

    async def _keep(self, component: _Component) -> None:
        """Starts the component when its dependencies are ready, and restarts it whenever it ends."""
        await self._all_ready(component.spec.after)
        backoff = MIN_BACKOFF
        failures = 0
        while True:
            await self._launch(component)
            assert component.process is not None
            became_ready = await self._until_ready(component)
            code = await component.process.wait()
            component.last_exit = _exit_words(code)
            _kill_group(component.process.pid)
            if not became_ready and not component.first_ready.is_set():
                failures += 1
                if failures >= START_ATTEMPTS and not component.spec.late:
                    raise ComponentFailed(self._cannot_start(component))
            if time.monotonic() - component.started > STEADY:
                backoff = MIN_BACKOFF
            component.restarts += 1
            self._say(f"{component.spec.name} {component.last_exit}; restarting it in {backoff:g} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, self._max_backoff)

    async def _launch(self, component: _Component) -> None:
        spec = component.spec
        try:
            with os.fdopen(os.open(self._log(spec.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)) as log:
                component.process = await asyncio.create_subprocess_exec(
                    *spec.argv,
                    env={**spec.env, MARK: str(self._run_dir)},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise ComponentFailed(f"{spec.name} cannot start: {error}") from error
        component.started = time.monotonic()
        component.reason = ""
        self._record(component)

    async def _until_ready(self, component: _Component) -> bool:
        """True once the component is ready; False if it ended first, or if it took too long and was killed."""
        process = component.process
        assert process is not None
        while process.returncode is None:
            if await self._answers(component):
                break
            if time.monotonic() - component.started > START_TIMEOUT:
                self._give_up(component)
                return False
            await asyncio.sleep(READY_POLL)
        if process.returncode is not None:
            return False
        if component.restarts:
            self._say(f"{component.spec.name} is back")
        component.first_ready.set()
        return True

    async def _answers(self, component: _Component) -> bool:
        """Whether the component says that it is ready."""
        try:
            return component.spec.ready is None or await component.spec.ready()
        except NotReady as error:
            component.reason = f": {error}"
            return False

    def _give_up(self, component: _Component) -> None:
        """It runs but does not become ready: fails a first start, kills a later one so that it restarts."""
        component.last_exit = f"was not ready within {START_TIMEOUT:g} s{component.reason}"
        if not component.first_ready.is_set() and not component.spec.late:
            raise ComponentFailed(self._cannot_start(component))
        self._say(f"{component.spec.name} {component.last_exit}; killing it. {self._log_end(component)}")
        assert component.process is not None
        _kill_group(component.process.pid)

    def _cannot_start(self, component: _Component) -> str:
        return f"{component.spec.name} cannot start: it {component.last_exit}. {self._log_end(component)}"

    def _log_end(self, component: _Component) -> str:
        path = self._log(component.spec.name)
        return f"The end of {path}:\n{log_tail(path)}"

    def _log(self, name: str) -> Path:
        return self._log_dir / f"{name}.log"

    async def _keep_logs_short(self) -> None:
        while True:
            for name in self._components:
                await asyncio.to_thread(_shorten, self._log(name))
            await asyncio.sleep(LOG_POLL)

    def _record(self, component: _Component) -> None:
        assert component.process is not None
        pid = component.process.pid
        write_record(self._run_dir / f"{component.spec.name}.json", {"pid": pid, "start": process_start(pid)})

    async def _end(self, component: _Component) -> None:
        process = component.process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), component.spec.stop_timeout)
            except TimeoutError:
                self._say(f"{component.spec.name} did not stop within {component.spec.stop_timeout:g} s: killing it")
                _kill_group(process.pid)
                await process.wait()
        if process is not None:
            _kill_group(process.pid)
        (self._run_dir / f"{component.spec.name}.json").unlink(missing_ok=True)


async def reap(run_dir: Path) -> list[str]:
    """Kills the processes that an earlier supervisor left; returns their names. Every component survives a kill."""
    killed = []
    for path in sorted(run_dir.glob("*.json")):
        record = read_record(path)
        if record and is_alive(record):
            _kill_group(record["pid"])
            killed.append(path.stem)
            while is_alive(record):  # noqa: ASYNC110 - it is not our child, so we cannot wait for it
                await asyncio.sleep(READY_POLL)
        path.unlink(missing_ok=True)
    return killed


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Writes a small JSON file: the whole file or nothing."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(record))
    scratch.replace(path)


def read_record(path: Path) -> dict[str, Any] | None:
    """The content from `write_record`, or None if there is no such file."""
    try:
        record: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return record


def process_start(pid: int) -> str | None:
    """The start of the process in clock ticks since boot: with the pid it identifies one process (proc(5))."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if not fields or fields[0] == "Z" else fields[19]  # the file may be empty when the process ends


def is_alive(record: dict[str, Any]) -> bool:
    """Whether the process of the record still runs."""
    start = process_start(record["pid"])
    return start is not None and start == record["start"]


def log_tail(path: Path, lines: int = TAIL_LINES) -> str:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(there is no log)"


def _shorten(path: Path) -> None:
    """Copies a log that is too long to `.log.1` and empties it.

    The writer continues at the new end, because it opened the file to append. Output during the copy may be lost.
    """
    with contextlib.suppress(OSError):  # the log does not exist yet, or the disk is full: it tries again later
        if path.stat().st_size > LOG_LIMIT:
            shutil.copy(path, path.with_suffix(".log.1"))
            os.truncate(path, 0)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _exit_words(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _stop_order(specs: list[ProcessSpec]) -> list[list[str]]:
    """Levels of names, in the order to stop: no process of a later level needs one of an earlier level."""
    left = {spec.name: set(spec.after) for spec in specs}
    levels = []
    while left:
        needed = set().union(*left.values())
        level = [name for name in left if name not in needed]
        levels.append(level)
        for name in level:
            del left[name]
    return levels
