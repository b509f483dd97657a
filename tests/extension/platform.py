"""A whole platform for jobs that need no TensorFlow: control plane, node with a plain image, operator.

Real processes all of them; a test may kill any and start it again.
"""

import json
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fixtures.control_plane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]
PLAIN_IMAGE = "kf-spawner/plain:0.1.0"


class Platform:
    """`start` once; `kill` and `start_node`, `start_operator`, `plane.start` for what a test breaks."""

    def __init__(self, plane: ControlPlane, folder: Path):
        self.plane = plane
        self.folder = folder
        # What a thread has started may end with it: one that lives as long as the platform starts what tests kill.
        self.starter = ThreadPoolExecutor(1)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        image = folder / "images" / "plain"
        image.mkdir(parents=True)
        (image / "requirements.txt").write_text("")
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        description = {
            "name": "plain",
            "description": "Nothing but Python",
            "tensorflow": "none",
            "python": version,
            "gpu": False,
            "kind": "notebook",
            "cmd": ["python"],
            "environments": [{"folder": "python", "pythons": [version], "requirements": "requirements.txt"}],
        }
        (image / "image.json").write_text(json.dumps(description))

    @property
    def admin_kubeconfig(self) -> Path:
        return self.plane.admin_kubeconfig

    def start(self) -> None:
        manifests = ROOT / "kf_spawner"
        for folder in (manifests / "manifests", manifests / "localcluster" / "manifests"):
            for file in sorted(folder.glob("*.yaml")):
                done = self.plane.kubectl("apply", "-f", str(file))
                assert done.returncode == 0, done.stderr
        # The garbage collector looks for new kinds every 30 seconds; one that starts now knows them.
        self.plane.kill("kube-controller-manager")
        self.plane.start(["kube-controller-manager"])
        self.start_node()
        self.start_operator()

    def start_node(self) -> None:
        keys = self.plane.credentials
        self._run(
            "node",
            "kf_spawner.localcluster.node",
            f"--kubeconfig={self.plane.kubeconfig('system:node:local', ['system:nodes'])}",
            f"--provisioner-kubeconfig={self.plane.kubeconfig('kf-spawner:provisioner')}",
            "--name=local",
            f"--root={self.folder / 'node'}",
            f"--images={self.folder / 'images'}",
            f"--image-cache={self.folder / 'cache'}",
            f"--tls-cert={keys.node_server.certificate}",
            f"--tls-key={keys.node_server.key}",
            f"--client-ca={keys.authority}",
            "--stop-pods=True",
            "--reserved-memory=0",
        )

    def start_operator(self) -> None:
        kubeconfig = self.plane.kubeconfig("kf-spawner:operator")
        self._run("operator", "kf_spawner.operator", f"--kubeconfig={kubeconfig}", "--metrics-port=0")

    def kill(self, name: str) -> None:
        """`kill -9` of the node or the operator."""
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def stop(self) -> None:
        for name in ("operator", "node"):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, name: str, module: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], stdout=log, stderr=log, cwd=ROOT, start_new_session=True
            )
