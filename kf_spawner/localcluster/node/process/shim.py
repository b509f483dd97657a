"""Runs one container attempt: `python -I -S shim.py DIRECTORY`.

Owns one process tree. It starts the process of the container from `spec.json`, copies the output to `log` in the
format of the CRI, rotates the log and enforces the memory limit. When that process has ended, it kills the rest of
the tree and writes `exit.json`. It outlives the node and sees only the lock file of the node: if no node holds the
lock for too long, it ends its container. It imports few modules of the standard library and nothing else, because
each container has a shim. SIGTERM goes to the process of the container; SIGUSR1 kills the whole tree.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import select
import signal
import sys
import time

TYPE_CHECKING = False  # without the module typing, which would take memory in each shim
if TYPE_CHECKING:
    from .records import ExitRecord, ShimSpec

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LINE_LIMIT = 16 * 1024
READ_SIZE = 32 * 1024
LOCK_CHECK_INTERVAL = 5.0
MEMORY_INTERVAL = (0.1, 1.0)
GROWTH = 2 << 30  # bytes per second that a process may grow: near the limit, we check more often
KILL_PATIENCE = 10.0

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def main(directory: str) -> int:
    if not claim(directory):
        return 0
    _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with open(f"{directory}/spec.json") as file:
        spec = json.load(file)
    return Shim(directory, spec).run()


def claim(directory: str) -> bool:
    """Makes this process the only one that ever runs this attempt; False if another process was first."""
    record = f"{os.getpid()} {start_time(os.getpid())} {boot_id()} {time.time_ns()}\n"
    temporary = f"{directory}/.pid.{os.getpid()}"
    try:
        with open(temporary, "x") as file:
            file.write(record)
        os.link(temporary, f"{directory}/pid")
    except (FileExistsError, FileNotFoundError):
        return False
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    return True


def start_time(pid: int) -> str:
    """Clock ticks from boot to the start of `pid`: with the pid and the boot it identifies a process for good."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


class Log:
    """The container's log: one CRI line (`TIME STREAM F|P TEXT`) for each line or 16 KiB of output."""

    def __init__(self, path: str, *, max_bytes: int, max_files: int):
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115
        self._size = self._file.tell()
        self._pending = {"stdout": b"", "stderr": b""}

    def feed(self, stream: str, data: bytes) -> None:
        *lines, rest = (self._pending[stream] + data).split(b"\n")
        stamp = _timestamp()
        out = bytearray()
        for line in lines:
            _append(out, stamp, stream, line, b"F")
        if whole := len(rest) - len(rest) % LINE_LIMIT:
            _append(out, stamp, stream, rest[:whole], b"P")
        self._pending[stream] = rest[whole:]
        self._write(out)

    def close(self) -> None:
        for stream, rest in self._pending.items():
            if rest:
                out = bytearray()
                _append(out, _timestamp(), stream, rest, b"P")  # the line has no end, so its record is partial
                self._write(out)
        self._file.close()

    def _write(self, data: bytearray) -> None:
        if not data:
            return
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        view = memoryview(data)
        while view:
            written = self._file.write(view)
            view = view[written:]
            self._size += written

    def _rotate(self) -> None:
        self._file.close()
        for index in range(self._max_files - 1, 0, -1):
            older = self._path if index == 1 else f"{self._path}.{index - 1}"
            with contextlib.suppress(FileNotFoundError):
                os.replace(older, f"{self._path}.{index}")
        self._file = open(self._path, "wb", buffering=0)  # noqa: SIM115
        self._size = 0


def _append(out: bytearray, stamp: bytes, stream: str, line: bytes, last: bytes) -> None:
    while len(line) > LINE_LIMIT:
        out += b"%s %s P %s\n" % (stamp, stream.encode(), line[:LINE_LIMIT])
        line = line[LINE_LIMIT:]
    out += b"%s %s %s %s\n" % (stamp, stream.encode(), last, line)


def _timestamp() -> bytes:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    return b"%s.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), nanoseconds)


class Shim:
    """The life of one container's process tree."""

    def __init__(self, directory: str, spec: "ShimSpec"):
        self._directory = directory
        self._spec = spec
        self._status: int | None = None  # wait status of the first process, once it has ended
        self._oom = False
        self._child = 0
        self._ended = 0
        self._next_memory = 0.0
        self._next_lock = time.monotonic() + LOCK_CHECK_INTERVAL
        self._lock_seen = time.monotonic()
        self._abandoned = False

    def run(self) -> int:
        wakeup, wakeup_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakeup_write, warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        streams: dict[int, str] = {}
        started = time.time_ns()
        error = self._start(streams)
        self._announce(error)
        if error:
            self._write_exit({"startedAt": started, "finishedAt": time.time_ns(), "exitCode": 128, "error": error})
            return 0
        log = Log(f"{self._directory}/log", max_bytes=self._spec["logMaxBytes"], max_files=self._spec["logMaxFiles"])
        self._watch(wakeup, streams, log)
        self._end(streams, log)
        log.close()
        self._write_exit(self._exit_record(started))
        return 0

    def _start(self, streams: dict[int, str]) -> str:
        """Forks and executes the process of the container; returns an error, or an empty string."""
        out, out_write = os.pipe2(os.O_CLOEXEC)
        err, err_write = os.pipe2(os.O_CLOEXEC)
        result, result_write = os.pipe2(os.O_CLOEXEC)
        shim = os.getpid()
        self._child = os.fork()
        if self._child == 0:
            _become_container(self._spec, out_write, err_write, result_write, shim)
        for fd in (out_write, err_write, result_write):
            os.close(fd)
        error = b""
        while chunk := os.read(result, 4096):  # ends when the exec closes the other side
            error += chunk
        os.close(result)
        for fd, name in ((out, "stdout"), (err, "stderr")):
            os.set_blocking(fd, False)
            streams[fd] = name
        if error:
            os.waitpid(self._child, 0)
        return error.decode(errors="replace")

    def _announce(self, error: str) -> None:
        """Tells the node that started us how the start went, if the node still lives."""
        with contextlib.suppress(OSError):
            os.write(1, (json.dumps({"error": error}) + "\n").encode())
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.close(null)

    def _watch(self, wakeup: int, streams: dict[int, str], log: Log) -> None:
        """Serves the container until its first process has ended."""
        poll = select.poll()
        poll.register(wakeup, select.POLLIN)
        for fd in streams:
            poll.register(fd, select.POLLIN)
        self._reap()
        while self._status is None:
            for fd, _event in poll.poll(self._wait_ms()):
                if fd == wakeup:
                    self._handle(os.read(wakeup, 512))
                elif not _copy(fd, streams[fd], log):
                    poll.unregister(fd)
                    os.close(fd)
                    del streams[fd]
            self._check_memory()
            self._check_lock()

    def _wait_ms(self) -> float:
        upcoming = min(self._next_lock, self._next_memory) if self._spec.get("memoryLimit") else self._next_lock
        return max(0.0, upcoming - time.monotonic()) * 1000

    def _handle(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGTERM and self._status is None:
                os.kill(self._child, signal.SIGTERM)
            elif number == signal.SIGUSR1:
                self._kill_tree()

    def _reap(self) -> bool:
        """Collects ended children; False if no child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self._child:
                self._status = status
                self._ended = time.time_ns()

    def _kill_tree(self) -> None:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _check_memory(self) -> None:
        limit = self._spec.get("memoryLimit")
        now = time.monotonic()
        if not limit or now < self._next_memory:
            return
        pids = descendants(os.getpid())  # of this process: a process whose parent has ended becomes our child
        used = sum(_sum_of_fields(f"/proc/{pid}/status", (b"RssAnon:", b"RssShmem:")) for pid in pids)
        if used > limit:
            # The first sum counts shared pages once for each process; this one counts each page once.
            used = sum(_sum_of_fields(f"/proc/{pid}/smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:")) for pid in pids)
        if used > limit:
            self._oom = True
            self._kill_tree()
        shortest, longest = MEMORY_INTERVAL
        self._next_memory = now + max(shortest, min(longest, (limit - used) / GROWTH))

    def _check_lock(self) -> None:
        """Ends the container if no node has held its lock for too long."""
        now = time.monotonic()
        if now < self._next_lock:
            return
        self._next_lock = now + LOCK_CHECK_INTERVAL
        if _held(self._spec["nodeLock"]):
            self._lock_seen = now
            return
        alone = now - self._lock_seen - self._spec["orphanGrace"]
        if alone > self._spec["gracePeriod"]:
            self._kill_tree()
        elif alone > 0 and not self._abandoned:
            self._abandoned = True
            os.kill(self._child, signal.SIGTERM)

    def _end(self, streams: dict[int, str], log: Log) -> None:
        """Kills all other processes, as when the first process of a container ends."""
        deadline = time.monotonic() + KILL_PATIENCE
        while self._reap() and time.monotonic() < deadline:
            self._kill_tree()
            for fd, name in list(streams.items()):
                _copy(fd, name, log)
            time.sleep(0.002)
        for fd, name in streams.items():
            while _copy(fd, name, log, until_empty=True):
                pass

    def _exit_record(self, started: int) -> "ExitRecord":
        status = self._status or 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = 128 + number if number else os.WEXITSTATUS(status)
        return {"startedAt": started, "finishedAt": self._ended, "exitCode": code, "signal": number, "oom": self._oom}

    def _write_exit(self, record: "ExitRecord") -> None:
        temporary = f"{self._directory}/.exit.json"
        with open(temporary, "w") as file:
            json.dump(record, file)
        os.replace(temporary, f"{self._directory}/exit.json")


def _become_container(spec: "ShimSpec", out: int, err: int, result: int, shim: int) -> None:
    """In the forked child: becomes the process of the container, or writes the error to `result`."""
    message = "the process could not be started"
    try:
        os.setsid()
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != shim:  # the shim died before the line above
            os._exit(137)
        # A process inherits ignored and blocked signals: from Python, and from nohup or & in front of the node.
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (out, 1), (err, 2)):
            os.dup2(source, target)
        # When the machine runs out of memory, the kernel kills containers before the control plane.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(spec.get("oomScoreAdj", 0)))
        message = f"cannot change to the working directory {spec['cwd']}"
        os.chdir(spec["cwd"])
        message = ""
        os.execvpe(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606
    except OSError as error:
        said = f"{message}: {error.strerror}" if message else not_executed(spec["argv"][0], error)
        os.write(result, said.encode())
    finally:
        os._exit(128)


def not_executed(program: str, error: OSError) -> str:
    """Why a program did not start, in the words of a container runtime."""
    why = (error.strerror or "it cannot be started").lower()
    if isinstance(error, FileNotFoundError):
        why = f"stat {program}: no such file or directory" if "/" in program else "executable file not found in $PATH"
    return f'exec: "{program}": {why}'


def _copy(fd: int, stream: str, log: Log, *, until_empty: bool = False) -> bool:
    """Copies the available output; False at the end of the stream (with `until_empty`: if there is none now)."""
    try:
        data = os.read(fd, READ_SIZE)
    except BlockingIOError:
        return not until_empty
    if data:
        log.feed(stream, data)
    return bool(data)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, parents first."""
    found: list[int] = []
    queue = [pid]
    while queue:
        for child in _children(queue.pop()):
            found.append(child)
            queue.append(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    ended = (FileNotFoundError, ProcessLookupError)
    with contextlib.suppress(*ended):
        for thread in os.listdir(f"/proc/{pid}/task"):
            path = f"/proc/{pid}/task/{thread}/children"
            with contextlib.suppress(*ended), open(path, "rb", buffering=0) as file:
                children += map(int, file.read().split())
    return children


def _sum_of_fields(path: str, names: tuple[bytes, ...]) -> int:
    """The sum, in bytes, of some `Name:  N kB` lines of a file of /proc."""
    with contextlib.suppress(OSError, ValueError), open(path, "rb", buffering=0) as file:
        return sum(int(line.split()[1]) * 1024 for line in file.read().splitlines() if line.startswith(names))
    return 0


def _held(lock: str) -> bool:
    """Whether a node holds its lock file."""
    try:
        with open(lock) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
