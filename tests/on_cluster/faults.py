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
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tests.cluster import cgroups, outside, packages
from tests.cluster.layout import ROOT, Layout, Node

PATIENCE = 120.0
PAUSE = 0.2
DISK = 12 * 2**30
"""Bytes that the disk of a further node holds; it takes none of the machine's before they are written."""

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


@contextlib.contextmanager
def further_node(layout: Layout, number: int, archives: list[Path]) -> Iterator[Node]:
    """A machine more, with images, whose /var is a disk of its own. It is gone afterwards; its object is not."""
    place = layout.node(number)
    first = outside.machine(layout)
    assert first is not None, "the cluster is not up"
    disk = layout.home / f"{place.name}.disk"
    place.var.mkdir(parents=True, exist_ok=True)
    with disk.open("wb") as file:
        file.truncate(DISK)
    subprocess.run([packages.program("mkfs.ext4"), "-q", "-m", "0", str(disk)], check=True)
    _inside(first, "mount", "-o", "loop", str(disk), str(place.var))
    argv = [*_enter(first), sys.executable, "-m", "tests.cluster", "join"]
    argv += ["--home", str(layout.home), "--number", str(number)]
    environment = {**os.environ, "PATH": packages.SEARCH, "PYTHONPATH": str(ROOT)}
    try:
        with layout.machine_log.open("ab") as log:
            joined = subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=log)
        machine = _until_up(layout, place)
        for archive in archives:
            with archive.open("rb") as file:
                _inside(machine, "ctr", "--namespace=k8s.io", "images", "import", "-", stdin=file)
        yield place
    finally:
        if left := _all_of(layout, place):
            with contextlib.suppress(ProcessLookupError):
                kill(left)
        joined.wait(PATIENCE)
        _inside(first, "umount", "--lazy", str(place.var))
        cgroups.remove(place.cgroup)
        shutil.rmtree(place.home)
        disk.unlink()


def lose(layout: Layout, place: Node) -> None:
    """End a further node's machine for good, with all that runs on it: nobody says that it has ended."""
    kill(_all_of(layout, place))


def fill(layout: Layout, place: Node) -> None:
    """Leave next to nothing free on a further node's disk."""
    (machine,) = _machines(layout, place)
    var = Path(f"/proc/{machine}/root/var")
    free = os.statvfs(var)
    with (var / "fill").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - ROOM)


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


def _inside(target: int, name: str, *arguments: str, stdin: IO[bytes] | None = None) -> None:
    subprocess.run([*_enter(target), packages.program(name), *arguments], stdin=stdin, check=True)


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
