"""What a node does on its start with processes that the one before it left."""

import shlex
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

from kf_spawner.localcluster.node.pod.orphans import kill_strays
from kf_spawner.localcluster.node.process.identity import MARK

STARTS_MANY = 'while [ ! -e end ]; do sleep 0 || echo "a child was killed"; done'


def test_only_what_runs_beside_the_container_is_killed(tmp_path: Path) -> None:
    """Not what the container starts meanwhile, one process after the other."""
    mark = f"{MARK}={tmp_path}"
    shim = subprocess.Popen(
        ["sh", "-c", f"env {mark} sh -c {shlex.quote(STARTS_MANY)}; echo over"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    stray = subprocess.Popen(["env", mark, "sleep", "1000"])
    attempt = SimpleNamespace(directory=tmp_path, shim_pid=shim.pid)
    try:
        while stray.poll() is None:
            kill_strays([attempt])
        assert stray.returncode == -signal.SIGKILL
        for _ in range(50):
            kill_strays([attempt])
    finally:
        (tmp_path / "end").touch()
        told, _ = shim.communicate(timeout=60)
        stray.kill()
        stray.wait()
    assert told == "over\n"
