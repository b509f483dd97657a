"""The local node as a process of its own beside a control plane: started, stopped, killed, looked into."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kf_spawner.localcluster.node.process.identity import marked
from tests.fixtures.control_plane import ControlPlane

from .pods import HELLO, NodeUnderTest

TIMEOUT = 40.0
POLL = 0.03


@dataclass
class LocalNode:
    """A node process: `start`, `stop` (SIGTERM), `kill` (SIGKILL); its folder stays in between.

    Without a provisioner: that one serves the claims of the whole cluster, so also those of other tests.
    """

    plane: ControlPlane
    home: Path
    name: str
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    log: Path = field(init=False)
    healthz_port: int = field(init=False)

    def __post_init__(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.log = self.home / "node.log"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.healthz_port = free.getsockname()[1]
        image = self.home / "images" / "plain"
        image.mkdir(parents=True, exist_ok=True)
        (image / "requirements.txt").write_text("")
        description = {
            "name": "plain",
            "description": "Nothing but Python",
            "tensorflow": "none",
            "python": "3.11",
            "gpu": False,
            "kind": "notebook",
            "cmd": ["python", "-c", f"print({HELLO!r})"],
            "environments": [{"folder": "python", "pythons": ["3.11"], "requirements": "requirements.txt"}],
        }
        (image / "image.json").write_text(json.dumps(description))

    @property
    def root(self) -> Path:
        return self.home / "node"

    def start(self, *options: str) -> None:
        keys = self.plane.credentials
        kubeconfig = self.plane.kubeconfig(f"system:node:{self.name}", ["system:nodes"])
        argv = [
            *(sys.executable, "-m", "kf_spawner.localcluster.node"),
            f"--kubeconfig={kubeconfig}",
            f"--name={self.name}",
            f"--root={self.root}",
            f"--images={self.home / 'images'}",
            f"--image-cache={self.home / 'cache'}",
            f"--tls-cert={keys.node_server.certificate}",
            f"--tls-key={keys.node_server.key}",
            f"--client-ca={keys.authority}",
            f"--healthz-port={self.healthz_port}",
            *self.options,
            *options,
        ]
        environment = {**os.environ, "PATH": f"{self.home / 'bin'}:{os.environ['PATH']}"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env=environment, start_new_session=True)

    async def until_ready(self) -> None:
        """Returns once the node has adopted what there was and takes pods."""
        assert self.process is not None
        deadline = time.monotonic() + TIMEOUT
        while not await self._is_ready():
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(POLL)

    async def _is_ready(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.healthz_port)
            writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
            line = await reader.readline()
            writer.close()
        except OSError:
            return False
        return b" 200 " in line

    def stop(self, timeout: float = 30.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def container_processes(self, uid: str = "") -> dict[int, str]:
        """pid -> attempt folder, of all that runs for this node's containers (of one pod, if `uid` is given)."""
        return marked(str(self.root / "pods" / uid) + "/" if uid else str(self.root / "pods") + "/")

    def shims(self) -> list[int]:
        """The pids of the shims that run."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if any(word.endswith(b"shim.py") for word in words) and f"{self.root}/".encode() in b"\0".join(words):
                    found.append(int(entry.parent.name))
        return found

    def target(self, namespace: str, *, backoff: int) -> NodeUnderTest:
        """For pods of that namespace on this node."""
        return NodeUnderTest(
            kubeconfig=self.plane.admin_kubeconfig,
            kubectl=self.plane.binaries.kubectl,
            node=self.name,
            namespace=namespace,
            containers=False,
            backoff=backoff,
            log=lambda: self.log.read_text()[-3000:],
        )

    def attempts(self, uid: str, container: str) -> list[Path]:
        folder = self.root / "pods" / uid / "containers" / container
        return sorted(folder.iterdir(), key=lambda path: int(path.name)) if folder.exists() else []

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        left = eventually(lambda: self.container_processes() or self.shims(), wanted=False)
        assert not left, f"{left}\n{self.log.read_text()[-3000:]}"


def eventually(value: Callable[[], object], *, wanted: bool = True, timeout: float = 30.0) -> object:
    """What `value()` is once it is true (or, with `wanted=False`, false), or after `timeout` s."""
    deadline = time.monotonic() + timeout
    while bool(now := value()) is not wanted and time.monotonic() < deadline:
        time.sleep(POLL)
    return now
