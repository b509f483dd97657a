"""What can be done to the machines of the cluster that `make cluster` makes: kill, join a node, fill its disk.

Knows processes, mounts and pods' identifiers; asserts nothing.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.cluster import bundle, cgroups, outside, packages
from tests.cluster.layout import ROOT, Layout, Node

PATIENCE = 120.0
PAUSE = 0.2
DISK = 12 * 2**30
"""Bytes that the disk of a further node holds; it takes none of the machine's before they are written."""

FILL = "fill"
"""The file on it that takes all room."""

ROOM = 8 * 2**20
"""Bytes that are left on a disk that is filled."""


def processes(layout: Layout, program: str) -> list[int]:
    """The cluster's own processes of that name, on all its nodes: their command lines name its folder."""
    found = []
    for pid in _pids():
        first, *words = _read(pid, "cmdline").split("\0")
        if Path(first).name == program and any(str(layout.home) in word for word in words):
            found.append(pid)
    return found


def container_processes(status: dict) -> list[int]:
    """The processes of a container, by its status in a pod; the first is the container's own first."""
    wanted = status["containerID"].rpartition("/")[2]
    found = [pid for pid in _pids() if wanted in _read(pid, "cgroup")]
    return sorted(found, key=lambda pid: int(_read(pid, "status").partition("NSpid:")[2].split("\n")[0].split()[-1]))


def kill(pids: list[int]) -> None:
    assert pids, "there is nothing to kill"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


class FurtherNode:
    """A machine more, whose /var is a disk of its own. Once it is lost, a new one of the same name can be started."""

    def __init__(self, layout: Layout, number: int):
        self.layout, self.place = layout, layout.node(number)
        self._disk = layout.home / f"{self.place.name}.disk"
        self._joined: subprocess.Popen[bytes] | None = None
        self.full = False

    @property
    def name(self) -> str:
        return self.place.name

    def runs(self) -> bool:
        return bool(_machines(self.layout, self.place))

    def start(self, archives: Sequence[Path]) -> None:
        """It is up and has these images; what it has already is not done again."""
        if not self.runs():
            self.end()
            self._make_disk()
            self._join()
        machine = _until_up(self.layout, self.place)
        outside.import_images(machine, [image for archive in archives for image in bundle.read(archive)])

    def lose(self) -> None:
        """End the machine for good, with all that runs on it: nobody says that it has ended."""
        kill(_all_of(self.layout, self.place))
        self._until_ended()

    def fill(self) -> None:
        """Leave next to nothing free on the disk."""
        self.full = True
        free = os.statvfs(self._var)
        with (self._var / FILL).open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - ROOM)

    def empty(self) -> None:
        """Frees the disk and restarts the kubelet, which would report disk pressure for five more minutes."""
        self.full = False
        (self._var / FILL).unlink()
        configuration = str(self.place.configuration)
        kill([pid for pid in processes(self.layout, "kubelet") if configuration in _read(pid, "cmdline")])

    def end(self) -> None:
        """Nothing of it is left but its object."""
        if left := _all_of(self.layout, self.place):
            with contextlib.suppress(ProcessLookupError):
                kill(left)
        self._until_ended()
        self.full = False
        if self._disk.exists():
            _inside(self._first, "umount", "--lazy", str(self.place.var))
            cgroups.remove(self.place.cgroup)
            shutil.rmtree(self.place.home)
            self._disk.unlink()

    def _until_ended(self) -> None:
        if self._joined is not None:
            self._joined.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while _all_of(self.layout, self.place):
            assert time.monotonic() < deadline, f"{self.name} does not end"
            time.sleep(PAUSE)

    @property
    def _var(self) -> Path:
        """Its /var as this process can reach it."""
        (machine,) = _machines(self.layout, self.place)
        return Path(f"/proc/{machine}/root/var")

    @property
    def _first(self) -> int:
        first = outside.machine(self.layout)
        assert first is not None, "the cluster is not up"
        return first

    def _make_disk(self) -> None:
        self.place.var.mkdir(parents=True, exist_ok=True)
        with self._disk.open("wb") as file:
            file.truncate(DISK)
        subprocess.run([packages.program("mkfs.ext4"), "-q", "-m", "0", str(self._disk)], check=True)
        _inside(self._first, "mount", "-o", "loop", str(self._disk), str(self.place.var))

    def _join(self) -> None:
        argv = [*_enter(self._first), sys.executable, "-m", "tests.cluster", "join"]
        argv += ["--home", str(self.layout.home), "--number", str(self.place.number)]
        environment = {**os.environ, "PATH": packages.SEARCH, "PYTHONPATH": str(ROOT)}
        with self.layout.machine_log.open("ab") as log:
            self._joined = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=log)


def _until_up(layout: Layout, place: Node) -> int:
    """The first process of the node's machine, once its containerd answers."""
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, f"{place.name} did not start, see {layout.machine_log}"
        machines = _machines(layout, place)
        # Before it has a /run of its own it sees the first node's: what answers there is another containerd.
        starts = any(str(place.home) in _read(pid, "cmdline") for pid in processes(layout, "containerd"))
        if machines and starts and _answers(machines[0]):
            return machines[0]
        time.sleep(PAUSE)


def _answers(machine: int) -> bool:
    argv = [*_enter(machine), packages.program("ctr"), "version"]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def _machines(layout: Layout, place: Node) -> list[int]:
    found = outside.further_machines(layout)
    return [pid for pid in found if pid in _all_of(layout, place)]


def _all_of(layout: Layout, place: Node) -> list[int]:
    """The processes that make the machine: who starts it, its first process, and that one's worker."""
    wanted = ["--home", str(layout.home), "--number", str(place.number)]
    return [pid for pid in _pids() if _read(pid, "cmdline").split("\0")[-5:-1] == wanted]


def _inside(target: int, name: str, *arguments: str) -> None:
    subprocess.run([*_enter(target), packages.program(name), *arguments], check=True)


def _enter(target: int) -> list[str]:
    return [packages.program("nsenter"), f"--target={target}", "--mount", "--net", "--pid", "--uts"]


def _pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _read(pid: int, name: str) -> str:
    """Nothing where the process has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    except OSError:
        return ""
