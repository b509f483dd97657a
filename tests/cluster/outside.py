"""The cluster from outside: start its machine, find it, load images into it, run commands in its network, remove it.

The machine is found by its command line, which names its folder: no file can be lost that says what runs.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from kf_spawner.localcluster.controlplane.binaries import AssetsError
from kf_spawner.localcluster.controlplane.build import BuildError
from kf_spawner.localcluster.supervisor import log_tail, process_start

from . import bundle, cgroups, debian, images, namespaces, packages, programs, version
from .layout import ROOT, Layout

START_TIMEOUT = 300.0
END_TIMEOUT = 30.0
PAUSE = 0.1

# Machines outlive the process that starts them; one that is forgotten while it runs is a ResourceWarning.
_started: list[subprocess.Popen[bytes]] = []


class ClusterError(Exception):
    """The cluster cannot be started, used or removed; the message says why and what to do."""


def up(layout: Layout, nodes: int | None = None) -> None:
    """Bring the cluster up, or do nothing if it is up from these sources. Raises ClusterError.

    `nodes`: how many it has when it starts; without a word as many as before, or one.
    """
    _check_machine()
    running = _machine_processes(layout)
    if running and _text(layout.version) != version.current():
        print("the cluster that is up is of other sources: starting it again, with what is in it", flush=True)
        _end(running)
    started = None if _machine_processes(layout) else _start(layout, nodes)
    deadline = time.monotonic() + START_TIMEOUT
    while not layout.ready.exists():
        ended = not _machine_processes(layout) if started is None else started.poll() is not None
        if ended or time.monotonic() > deadline:
            raise ClusterError(
                f"the cluster did not start; the end of {layout.machine_log}:\n{log_tail(layout.machine_log)}"
            )
        time.sleep(PAUSE)


def _check_machine() -> None:
    if sys.platform != "linux" or os.geteuid() != 0:
        raise ClusterError("a cluster needs Linux and root: kubelet and containerd do not run otherwise")


def _start(layout: Layout, nodes: int) -> subprocess.Popen[bytes]:
    """Start the machine; everything that needs the world outside is fetched and built before."""
    try:
        packages.ensure()
        images.write(layout, asyncio.run(programs.ensure()))
    except (packages.PackagesMissing, AssetsError, BuildError, debian.PackagesUnavailable) as error:
        raise ClusterError(str(error)) from error
    layout.ready.unlink(missing_ok=True)
    layout.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
    if nodes or not layout.nodes.exists():
        layout.nodes.write_text(f"{nodes or 1}\n")
    layout.version.write_text(version.current())
    argv = namespaces.command(sys.executable, "-m", "tests.cluster", "machine", "--home", str(layout.home))
    with layout.machine_log.open("ab") as log:
        machine = subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _started.append(machine)
    return machine


def machine(layout: Layout) -> int | None:
    """The machine's first process, if it runs."""
    return next((pid for pid in _machine_processes(layout) if _is_first(pid)), None)


def load(layout: Layout, archives: Sequence[Path]) -> None:
    """Put images (archives as `docker save` writes them) on every node. Raises ClusterError.

    A layer that a node has is not sent to it again, nor twice where several images share it.
    """
    try:
        found = [image for archive in archives for image in bundle.read(archive)]
    except (OSError, bundle.NotAnArchive) as error:
        raise ClusterError(str(error)) from error
    for first in [_running(layout), *further_machines(layout)]:
        import_images(first, found)


def import_images(first: int, images: Sequence[bundle.Image]) -> None:
    """Put images on the node of this machine's first process. Raises ClusterError."""
    ctr = [packages.program("nsenter"), f"--target={first}", "--mount", "--net"]
    ctr += [packages.program("ctr"), "--namespace=k8s.io"]
    listed = subprocess.run([*ctr, "content", "ls", "--quiet"], capture_output=True, text=True, check=False)
    importing = subprocess.Popen([*ctr, "images", "import", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert importing.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError), importing.stdin:
            bundle.write(importing.stdin, images, present=listed.stdout.split())
    finally:
        code = importing.wait()
    if code:
        names = ", ".join(name for image in images for name in image.names)
        raise ClusterError(f"containerd did not take {names}; see above for its reason")


def run(layout: Layout, command: Sequence[str]) -> NoReturn:
    """Become `command`, in the cluster's network, with CLUSTER naming its kubeconfig. Raises ClusterError."""
    first = _running(layout)
    nsenter = packages.program("nsenter")
    environment = {**os.environ, "CLUSTER": str(layout.kubeconfig)}
    os.execve(nsenter, [nsenter, f"--net=/proc/{first}/ns/net", "--", *command], environment)


def down(layout: Layout) -> None:
    """Leave nothing of the cluster, whatever state it is in. Raises ClusterError."""
    _end([*_machine_processes(layout), *_command_processes(layout)])
    try:
        cgroups.remove(layout.cgroup)
        if layout.home.exists():
            shutil.rmtree(layout.home)
    except OSError as error:
        raise ClusterError(f"cannot remove all of the cluster: {error}; try again") from error


def _end(pids: Sequence[int]) -> None:
    for pid in pids:
        _kill(pid)
    deadline = time.monotonic() + END_TIMEOUT
    # The first process is gone only when everything in its namespaces is.
    while left := [pid for pid in pids if process_start(pid) is not None]:
        if time.monotonic() > deadline:
            raise ClusterError(f"processes {left} do not end; they may wait for a disk: look at them, then try again")
        time.sleep(PAUSE)


def _running(layout: Layout) -> int:
    first = machine(layout)
    if first is None or not layout.ready.exists():
        raise ClusterError("the cluster is not up: run 'make cluster'")
    return first


def _machine_processes(layout: Layout) -> list[int]:
    """`unshare`, the first process and its worker: all have the same end of their command line."""
    wanted = ["-m", "tests.cluster", "machine", "--home", str(layout.home)]
    return [pid for pid in _processes() if _words(pid, "cmdline")[-len(wanted) :] == wanted]


def further_machines(layout: Layout) -> list[int]:
    """The first processes of the nodes from the second on."""
    wanted = ["-m", "tests.cluster", "node", "--home", str(layout.home), "--number"]
    return [pid for pid in _processes() if _words(pid, "cmdline")[-7:-1] == wanted and _is_first(pid)]


def _command_processes(layout: Layout) -> list[int]:
    """What `run` started and is still there: in another network than ours, with our cluster in its environment."""
    ours = os.stat("/proc/self/ns/net").st_ino
    wanted = f"CLUSTER={layout.kubeconfig}"
    return [pid for pid in _processes() if wanted in _words(pid, "environ") and _network(pid) not in (None, ours)]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _words(pid: int, name: str) -> list[str]:
    """A NUL-separated file of a process; nothing when it has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def _network(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def _is_first(pid: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    # A process's numbers in its namespaces, the outermost first.
    numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
