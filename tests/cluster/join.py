"""Further nodes: each a machine inside the first one, linked to it, with a kubelet and containerd of its own.

`run` is outside the new machine, `be` is its first process.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

from kf_spawner.localcluster.supervisor import ComponentFailed, Supervisor

from . import cgroups, control_plane, namespaces, node, packages, programs
from .layout import FIRST_ADDRESS, NODE_PREFIX, POD_NETWORK, SERVICES, Layout, Node

LINK = "eth0"
START_TIMEOUT = 30.0
PAUSE = 0.05


def run(layout: Layout, number: int) -> int:
    """Start the machine, lay its link, and wait for its end. The link goes with the machine."""
    place = layout.node(number)
    outer = f"node{number}"
    arguments = ["-m", "tests.cluster", "node", "--home", str(layout.home), "--number", str(number)]
    process = subprocess.Popen(namespaces.command(sys.executable, *arguments))
    try:
        inner = _child(process.pid)
        if outer in links():  # of a machine that was killed a moment ago
            namespaces.do("ip", "link", "delete", outer)
        namespaces.do("ip", "link", "add", outer, "type", "veth", "peer", "name", LINK, "netns", str(inner))
        namespaces.do("ip", "link", "set", outer, "master", "kf0", "up")
        namespaces.do("ip", "route", "replace", place.pods, "via", place.address)
        return int(process.wait() != 0)
    finally:
        process.kill()


def links() -> list[str]:
    """The names of this network's links."""
    return [name for _, name in socket.if_nameindex()]


def _child(parent: int) -> int:
    """The only child of a process, once it is there."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                # After the name in parentheses: state, parent (proc(5)).
                if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                    return int(path.parent.name)
        time.sleep(PAUSE)
    raise TimeoutError(f"process {parent} started no child within {START_TIMEOUT:g} s")


def be(layout: Layout, number: int) -> None:
    """Be the first process of the machine. Ends when it does."""
    place = layout.node(number)
    namespaces.mount(place, layout.shared)
    _connect(place)
    cgroups.make(place.cgroup)
    namespaces.first_process(lambda: asyncio.run(_work(layout, place)))


def _connect(place: Node) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while LINK not in links():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no link {LINK} within {START_TIMEOUT:g} s")
        time.sleep(PAUSE)
    namespaces.do("ip", "link", "set", "lo", "up")
    namespaces.do("ip", "address", "add", f"{place.address}/{NODE_PREFIX}", "dev", LINK)
    namespaces.do("ip", "link", "set", LINK, "up")
    namespaces.do("ip", "route", "add", SERVICES, "dev", LINK)
    namespaces.do("ip", "route", "add", POD_NETWORK, "via", FIRST_ADDRESS)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


async def _work(layout: Layout, place: Node) -> int:
    keys = control_plane.node_keys(layout, place)
    node.write_configuration(place, keys)
    specs = node.specs(place, await programs.ensure(), keys)
    supervisor = Supervisor(
        specs, run_dir=place.home / "run", log_dir=place.logs, say=lambda text: print(f"{place.name}: {text}")
    )
    try:
        await supervisor.start()
        await import_images(layout)
        await supervisor.failure()
    except ComponentFailed as error:
        print(f"{place.name}: {error}", flush=True)
    return 1


async def import_images(layout: Layout) -> None:
    """Import the cluster's own images into this machine's containerd."""
    for archive in sorted(layout.images.glob("*.tar")):
        argv = [packages.program("ctr"), "--namespace=k8s.io", "images", "import", str(archive)]
        process = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL)
        if await process.wait():
            raise ComponentFailed(f"containerd did not take {archive}")
