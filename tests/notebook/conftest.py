"""The extension's platform and server, and a way to run cells in IPython beside them."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fixtures.live_server import (  # noqa: F401
    live_server,
    live_server_process,
    live_user_namespace,
    live_workspace,
    platform,
)

RUNNER = Path(__file__).with_name("run_cells.py")
ROOT = RUNNER.parents[2]


def pythons() -> list[str]:
    """This Python, and a Python 3.6 with IPython: the one named, else the TensorFlow 1.8 image's, if built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kf-spawner" / "images"
    built = sorted(cache.glob("tensorflow-1.8.0-notebook-cpu/*/python/bin/python"))
    named = os.environ.get("KF_TEST_PYTHON36") or (str(built[-1]) if built else None)
    found = [sys.executable]
    if named and subprocess.run([named, "-c", "import IPython"], capture_output=True, check=False).returncode == 0:
        found.append(named)
    return found


@dataclass
class Cell:
    """What one cell did: its output, and the text of its traceback, empty if it raised nothing."""

    output: str
    error: str


class Shell:
    """IPython as a process whose environment is that of a kernel below the hub."""

    def __init__(self, python: str, environment: dict[str, str], folder: Path):
        self._python = python
        self._environment = environment
        self._folder = folder

    async def start(self, *cells: str) -> asyncio.subprocess.Process:
        file = self._folder / "cells.json"
        file.write_text(json.dumps(list(cells)))
        return await asyncio.create_subprocess_exec(
            self._python, str(RUNNER), str(file), env=self._environment, stdout=-1, stderr=-2, cwd=self._folder
        )

    async def run(self, *cells: str, timeout: float = 240) -> list[Cell]:
        process = await self.start(*cells)
        output, _ = await asyncio.wait_for(process.communicate(), timeout)
        text = output.decode()
        assert process.returncode == 0, text
        return parse(text)


def parse(text: str) -> list[Cell]:
    """The runner's output by cell."""
    cells = []
    for part in text.split("\x1eCELL\n")[1:]:
        output, _, error = part.partition("\x1eERROR\n")
        cells.append(Cell(output, error))
    return cells


def kernel_environment(server, home: Path, **more: str) -> dict[str, str]:
    """As the hub gives it to a server, and the server to its kernels."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTERHUB_API_TOKEN": server.token,
        "JUPYTERHUB_SERVICE_PREFIX": "/",
        "JUPYTERHUB_SERVICE_URL": server.url,
        "http_proxy": "http://127.0.0.1:9",  # nobody is there: it must not be asked
        **more,
    }


@pytest.fixture(params=pythons(), ids=["this", "3.6"][: len(pythons())])
def shell(request, live_server, live_workspace, tmp_path):  # noqa: F811
    return Shell(request.param, kernel_environment(live_server, live_workspace.home), tmp_path)
