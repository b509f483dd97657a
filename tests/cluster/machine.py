"""The cluster from inside: its machine's first process, which mounts, connects, and watches over all the others.

Runs in namespaces of its own, made by `outside.start`. When it ends, the kernel ends everything that runs in them,
and with the last process go mounts, network and links.
"""

import asyncio
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

from kf_spawner.localcluster.controlplane.process_specs import API_SERVER
from kf_spawner.localcluster.supervisor import ComponentFailed, ProcessSpec, Supervisor

from . import cgroups, control_plane, join, namespaces, node, packages, programs
from .layout import FILES, NODE_PREFIX, ROOT, SERVICES, Layout, Node
from .programs import Programs

START_TIMEOUT = 180.0
PAUSE = 0.2
MAX_BACKOFF = 1.0
"""Seconds before a part that ended is started again: here its end is most often a test's doing, many times over."""


def run(layout: Layout) -> None:
    """Be the first process: never returns before the cluster ends. Exits with 1 when it cannot start."""
    layout.ready.unlink(missing_ok=True)
    first = layout.node(1)
    namespaces.mount(first, layout.shared)
    _connect(first)
    cgroups.make(first.cgroup)
    namespaces.first_process(lambda: asyncio.run(_work(layout)))


def _connect(first: Node) -> None:
    """The node's address, on a bridge that further nodes are linked to; and a way to services' addresses.

    There is no default route: whatever looks for the world outside is told at once that there is none.
    """
    namespaces.do("ip", "link", "set", "lo", "up")
    namespaces.do("ip", "link", "add", "kf0", "type", "bridge")
    namespaces.do("ip", "address", "add", f"{first.address}/{NODE_PREFIX}", "dev", "kf0")
    namespaces.do("ip", "link", "set", "kf0", "up")
    namespaces.do("ip", "route", "add", SERVICES, "dev", "kf0")
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1\n")


async def _work(layout: Layout) -> int:
    """Start all, say so, and watch over it until it is stopped or cannot go on."""
    started = time.monotonic()
    found = await programs.ensure()
    supervisor = Supervisor(
        _specs(layout, found), run_dir=layout.home / "run", log_dir=layout.logs, say=_say, max_backoff=MAX_BACKOFF
    )
    try:
        await supervisor.start()
        async with asyncio.timeout(START_TIMEOUT):
            await _settle(layout, found)
        layout.ready.write_text(f"{time.monotonic() - started:.1f}\n")
        await supervisor.failure()
    except (ComponentFailed, TimeoutError) as error:
        _say(str(error) or f"the cluster did not become ready within {START_TIMEOUT:g} s")
    return 1


def _specs(layout: Layout, found: Programs) -> list[ProcessSpec]:
    files = control_plane.keys(layout)
    first = layout.node(1)
    keys = control_plane.node_keys(layout, first)
    node.write_configuration(first, keys)
    ours = [sys.executable, "-m", "tests.cluster"]
    environment = {**os.environ, "PATH": packages.SEARCH, "PYTHONPATH": str(ROOT)}
    provision = [*ours, "provision", "--home", str(layout.home)]
    return [
        *control_plane.specs(found.control_plane, files),
        *(replace(spec, after=(*spec.after, API_SERVER)) for spec in node.specs(first, found, keys)),
        ProcessSpec("provisioner", provision, environment, None, after=(API_SERVER,)),
        *(
            ProcessSpec(
                layout.node(number).name,
                [*ours, "join", "--home", str(layout.home), "--number", str(number)],
                environment,
                None,
                after=(API_SERVER,),
            )
            for number in _numbers(layout)[1:]
        ),
    ]


def _numbers(layout: Layout) -> range:
    """The numbers of the nodes that were asked for."""
    return range(1, 1 + int(layout.nodes.read_text()))


async def _settle(layout: Layout, found: Programs) -> None:
    """The cluster's images and objects are there, its node is Ready and names resolve."""
    await join.import_images(layout)
    kubectl = [str(found.control_plane.kubectl), f"--kubeconfig={layout.kubeconfig}"]
    await _until(*kubectl, "apply", "--server-side", "--force-conflicts", f"--filename={FILES / 'manifests'}")
    for number in _numbers(layout):
        await _until(*kubectl, "wait", "--for=condition=Ready", f"node/{layout.node(number).name}", "--timeout=10s")
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
