"""The whole product as a person starts it: `kf-spawner up` in a home directory of its own, and what is left after."""

import asyncio
import json
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from kf_spawner.localcluster.controlplane.binaries import ensure
from tests.fixtures.ports import free_port

LINK_TIMEOUT = 900.0  # the first start on a machine builds the control plane
STOP_TIMEOUT = 90.0
LATE_TIMEOUT = 120.0
DYING_TIMEOUT = 20.0


def kubectl_binary() -> Path:
    """The kubectl that was built beside the API server."""
    return asyncio.run(ensure(print)).kubectl


@dataclass
class Product:
    """A running `kf-spawner up`. `output` holds its lines so far."""

    home: Path
    port: int
    process: subprocess.Popen
    variables: dict[str, str]
    output: list[str] = field(default_factory=list)
    hub: str = ""
    kubeconfig: str = ""
    seconds_to_link: float = 0.0

    def status(self) -> dict:
        done = run_cli("status", "--home", str(self.home), "--json")
        assert done.stdout, f"status ended with {done.returncode}: {done.stderr}"
        return json.loads(done.stdout)

    def pid(self, component: str) -> int:
        return next(entry["pid"] for entry in self.status()["components"] if entry["name"] == component)

    def until_running(self, component: str) -> None:
        """Waits for a component that `up` does not wait for."""
        deadline = time.monotonic() + LATE_TIMEOUT
        while not any(e["name"] == component and e["running"] for e in self.status()["components"]):
            assert time.monotonic() < deadline, f"{component} does not run"
            time.sleep(0.1)

    def log(self, component: str) -> str:
        return (self.home / "logs" / f"{component}.log").read_text(errors="replace")

    def stop(self, how: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(STOP_TIMEOUT)


def clean_environment() -> dict[str, str]:
    """Ours without what may not matter: above all no KUBECONFIG."""
    mute = ("KUBECONFIG", "KUBERNETES_", "JUPYTER", "KF_")
    return {key: value for key, value in os.environ.items() if not key.startswith(mute)}


def run_cli(*args: str, timeout: float = 60.0, env: dict | None = None) -> subprocess.CompletedProcess:
    argv = [sys.executable, "-m", "kf_spawner.cli", *args]
    return subprocess.run(argv, capture_output=True, text=True, timeout=timeout, env=env or clean_environment())


def start(home: Path, *args: str, port: int | None = None, env: dict[str, str] | None = None) -> Product:
    """Starts `up` and returns when it has printed its link."""
    port = port or free_port()
    argv = [sys.executable, "-m", "kf_spawner.cli", "up", "--home", str(home), "--port", str(port), *args]
    variables = {**clean_environment(), **(env or {})}
    began = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=variables,
        start_new_session=True,
    )
    product = Product(home=home, port=port, process=process, variables=variables)
    try:
        _read_link(product)
    except BaseException:
        product.stop()
        raise
    product.seconds_to_link = time.monotonic() - began
    return product


def _read_link(product: Product) -> None:
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pump, args=(product.process, product.output, lines), daemon=True).start()
    while not (product.hub and product.kubeconfig):
        line = lines.get(timeout=LINK_TIMEOUT)
        if line is None:
            raise AssertionError(f"up ended with {product.process.wait()}:\n" + "\n".join(product.output))
        if found := re.match(r"Hub: (\S+)", line):
            product.hub = found[1]
        if found := re.match(r"export KUBECONFIG=(\S+)", line):
            product.kubeconfig = found[1]


def _pump(process: subprocess.Popen, output: list[str], lines: queue.Queue) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            output.append(line.rstrip())
            lines.put(line.rstrip())
    lines.put(None)


def left_of(home: Path) -> list[str]:
    """What of `processes_of` does not end by itself: a process that was killed is there a moment longer."""
    deadline = time.monotonic() + DYING_TIMEOUT
    while (found := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def processes_of(home: Path) -> list[str]:
    """The command lines of all processes whose arguments or environment name the home directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            everything = command + (entry / "environ").read_bytes()
        except OSError:
            continue
        if command and str(home).encode() in everything:
            found.append(f"{entry.name} {command.replace(bytes(1), b' ').decode(errors='replace')[:150]}")
    return found
