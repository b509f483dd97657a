"""A machine made of Linux namespaces: how it is started, its first process, its own /var and /run.

Knows nothing of Kubernetes but the kernel settings that a kubelet wants to find.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from . import packages
from .layout import Node

KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet wants to find below /proc/sys. These are the whole kernel's, so it is shown files that say so."""


def command(*argv: str) -> list[str]:
    """The command line that runs `argv` as the first process of a machine; it ends when that or its starter does."""
    namespaces = ("--mount", "--net", "--pid", "--uts", "--mount-proc")
    return [packages.program("unshare"), *namespaces, "--fork", "--kill-child", *argv]


def mount(node: Node, shared: Sequence[Path]) -> None:
    """Give the machine its name, its own /var (kept over its restarts) and /run (not kept), and kernel settings.

    Folders of `shared` that these would hide stay where they are.
    """
    socket.sethostname(node.name)
    os.environ.pop("TMPDIR", None)  # may be hidden; /tmp is not
    hidden = [(path, os.open(path, os.O_PATH)) for path in shared if _is_hidden(path) and path.exists()]
    for name, mode in (("lib", 0o755), ("log", 0o755), ("tmp", 0o1777)):
        folder = node.var / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    if not (node.var / "run").is_symlink():
        (node.var / "run").symlink_to("/run")
    settings = node.configuration / "kernel"
    settings.mkdir(parents=True, exist_ok=True)
    for name, value in KERNEL_SETTINGS.items():
        file = settings / name.replace("/", "-")
        file.write_text(f"{value}\n")
        if Path("/proc/sys", name).exists():
            do("mount", "--bind", str(file), f"/proc/sys/{name}")
    do("mount", "--bind", str(node.var), "/var")
    do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")
    for path, opened in hidden:
        path.mkdir(parents=True, exist_ok=True)
        # By the open folder: its name means another one by now. With what is mounted in it: a further node's disk.
        do("mount", "--no-canonicalize", "--rbind", f"/proc/{os.getpid()}/fd/{opened}", str(path))
        os.close(opened)


def _is_hidden(path: Path) -> bool:
    return path.is_relative_to("/var") or path.is_relative_to("/run")


def first_process(work: Callable[[], int]) -> NoReturn:
    """Run `work` in a child, exit with 1 unless it answers 0; meanwhile be the parent of all who lose theirs."""
    worker = os.fork()
    if worker == 0:
        sys.exit(work())
    while True:
        ended, status = os.wait()
        if ended == worker:
            sys.exit(os.waitstatus_to_exitcode(status) and 1)


def do(name: str, *arguments: str) -> None:
    subprocess.run([packages.program(name), *arguments], check=True)
