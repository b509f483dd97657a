"""The cluster from inside: its machine's first process, which mounts, connects, and watches over all the others.

Runs in namespaces of its own, made by `outside.start`. When it ends, the kernel ends everything that runs in them,
and with the last process go mounts, network and links.
"""

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from kf_spawner.localcluster.controlplane.processes import API_SERVER
from kf_spawner.localcluster.supervisor import ComponentFailed, ProcessSpec, Supervisor

from . import cgroups, control_plane, node, packages, programs
from .control_plane import Keys
from .layout import FILES, NODE, NODE_ADDRESS, NODE_NETWORK, ROOT, Layout
from .programs import Programs

KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What a kubelet wants to find below /proc/sys. These are the whole kernel's, so it is shown files that say so."""

SERVICES = "10.96.0.0/16"
START_TIMEOUT = 180.0
PAUSE = 0.2


def run(home: Path) -> None:
    """Be the first process: never returns before the cluster ends. Exits with 1 when it cannot start."""
    layout = Layout(home)
    layout.ready.unlink(missing_ok=True)
    _mount(layout)
    _connect()
    cgroups.make(layout.cgroup)
    worker = os.fork()
    if worker == 0:
        sys.exit(asyncio.run(_work(layout)))
    # What it is here for: whoever loses its parent becomes this process's child, and is to be waited for.
    while True:
        ended, status = os.wait()
        if ended == worker:
            sys.exit(os.waitstatus_to_exitcode(status) and 1)


def _mount(layout: Layout) -> None:
    """The machine's own /var (kept over its restarts) and /run (not kept), and the kernel settings that it sees."""
    for name, mode in (("lib", 0o755), ("log", 0o755), ("tmp", 0o1777)):
        folder = layout.var / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(mode)
    if not (layout.var / "run").is_symlink():
        (layout.var / "run").symlink_to("/run")
    settings = layout.configuration / "kernel"
    settings.mkdir(parents=True, exist_ok=True)
    for name, value in KERNEL_SETTINGS.items():
        file = settings / name.replace("/", "-")
        file.write_text(f"{value}\n")
        if Path("/proc/sys", name).exists():
            _do("mount", "--bind", str(file), f"/proc/sys/{name}")
    _do("mount", "--bind", str(layout.var), "/var")
    _do("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run")


def _connect() -> None:
    """The node's address, on a bridge since not every kernel has `dummy` links; and a way to services' addresses.

    There is no default route: whatever looks for the world outside is told at once that there is none.
    """
    socket.sethostname(NODE)
    _do("ip", "link", "set", "lo", "up")
    _do("ip", "link", "add", "kf0", "type", "bridge")
    _do("ip", "address", "add", f"{NODE_ADDRESS}/{NODE_NETWORK.partition('/')[2]}", "dev", "kf0")
    _do("ip", "link", "set", "kf0", "up")
    _do("ip", "route", "add", SERVICES, "dev", "kf0")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


def _do(name: str, *arguments: str) -> None:
    subprocess.run([packages.program(name), *arguments], check=True)


async def _work(layout: Layout) -> int:
    """Start all, say so, and watch over it until it is stopped or cannot go on."""
    started = time.monotonic()
    found = await programs.ensure()
    keys = control_plane.keys(layout)
    node.write_configuration(layout, keys)
    supervisor = Supervisor(_specs(layout, found, keys), run_dir=layout.home / "run", log_dir=layout.logs, say=_say)
    try:
        await supervisor.start()
        async with asyncio.timeout(START_TIMEOUT):
            await _settle(layout, found)
        layout.ready.write_text(f"{time.monotonic() - started:.1f}\n")
        await supervisor.failure()
    except (ComponentFailed, TimeoutError) as error:
        _say(str(error) or f"the cluster did not become ready within {START_TIMEOUT:g} s")
    return 1


def _specs(layout: Layout, found: Programs, keys: Keys) -> list[ProcessSpec]:
    provisioner = ProcessSpec(
        "provisioner",
        [sys.executable, "-m", "tests.cluster", "provision", "--home", str(layout.home)],
        {"PATH": packages.SEARCH, "PYTHONPATH": str(ROOT)},
        None,
        after=(API_SERVER,),
    )
    return [
        *control_plane.specs(found.control_plane, keys.files),
        *node.specs(layout, found, keys),
        provisioner,
    ]


async def _settle(layout: Layout, found: Programs) -> None:
    """The cluster's images and objects are there, its node is Ready and names resolve."""
    for archive in sorted(layout.images.glob("*.tar")):
        await _until(packages.program("ctr"), "--namespace=k8s.io", "images", "import", str(archive))
    kubectl = [str(found.control_plane.kubectl), f"--kubeconfig={layout.kubeconfig}"]
    await _until(*kubectl, "apply", "--server-side", "--force-conflicts", f"--filename={FILES / 'manifests'}")
    await _until(*kubectl, "wait", "--for=condition=Ready", f"node/{NODE}", "--timeout=10s")
    await _until(
        *kubectl,
        "wait",
        "--for=jsonpath={.status.hard.pods}=1",
        "resourcequota/little",
        "--namespace=quota",
        "--timeout=10s",
    )
    await _until(*kubectl, "rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=10s")


async def _until(*argv: str) -> None:
    """Run a command again and again until it ends well; the caller sets the limit."""
    said = ""
    while True:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        output, _ = await process.communicate()
        if process.returncode == 0:
            return
        if output.decode() != said:
            said = output.decode()
            _say(f"{Path(argv[0]).name} {argv[-2]}: {said.strip()}")
        await asyncio.sleep(PAUSE)


def _say(text: str) -> None:
    print(text, flush=True)
