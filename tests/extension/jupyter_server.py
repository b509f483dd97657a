"""A real Jupyter server with the extension, which acts in a user's namespace."""

import asyncio
import contextlib
import functools
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.fixtures.user_namespace import CLAIM, ROOT, UserNamespace, Workspace

IMAGE = "kf-spawner/tensorflow:test"
HUB_TOKEN = "the-servers-own-token"
START_TIMEOUT = 60.0


@dataclass
class ServerProcess:
    """A Jupyter server with the extension. `end` it."""

    url: str
    token: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Server:
    """A test's connection to a server."""

    url: str
    token: str
    session: aiohttp.ClientSession = field(repr=False)

    async def call(self, method: str, path: str, **options: object) -> tuple[int, dict]:
        """(status, JSON) of a request under /kf/api/v1/ with the token."""
        headers = {"Authorization": f"token {self.token}", **options.pop("headers", {})}  # type: ignore[dict-item]
        async with self.session.request(
            method, f"{self.url}kf/api/v1/{path}", headers=headers, **options
        ) as response:
            text = await response.text()
            try:
                return response.status, json.loads(text)
            except ValueError:
                return response.status, {"text": text}

    async def stream(self, path: str) -> AsyncIterator[dict]:
        async with self.session.get(
            f"{self.url}kf/api/v1/{path}", headers={"Authorization": f"token {self.token}"}
        ) as response:
            assert response.status == 200, await response.text()
            async for line in response.content:
                yield json.loads(line)


@contextlib.asynccontextmanager
async def connected(process: ServerProcess) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as session:
        yield Server(process.url, process.token, session)


@contextlib.asynccontextmanager
async def run_server(
    workspace: Workspace, folder: Path, *, variables: dict[str, str] | None = None, settings: tuple[str, ...] = ()
) -> AsyncIterator[Server]:
    """A server for one test that needs it otherwise than the others; see `start_server`."""
    start = functools.partial(start_server, workspace.user_namespace, folder, variables=variables, settings=settings)
    process = await asyncio.to_thread(start)
    try:
        async with connected(process) as server:
            yield server
    finally:
        await asyncio.to_thread(process.end)


def start_server(
    user_namespace: UserNamespace,
    folder: Path,
    *,
    variables: dict[str, str] | None = None,
    settings: tuple[str, ...] = (),
) -> ServerProcess:
    """A new server that answers. `variables` are added to its environment; one set to "" is absent. Blocking."""
    token = secrets.token_hex(16)
    base = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "KF_"))}
    environment = {
        **base,
        "HOME": str(user_namespace.home),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_NO_CONFIG": "1",
        "PYTHONPATH": str(ROOT),
        "KUBECONFIG": str(user_namespace.kubeconfig),
        "KF_IMAGE": IMAGE,
        "KF_MODEL_SERVER_IMAGE": "kf-spawner/model-server:test",
        "KF_HOME_CLAIM": CLAIM,
        "KF_HOME_MOUNT": str(user_namespace.home),
        "JUPYTERHUB_API_TOKEN": HUB_TOKEN,
        **(variables or {}),
    }
    log = folder / "server.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [
                *(
                    sys.executable,
                    "-m",
                    "jupyter_server",
                    "--no-browser",
                    "--port=0",
                    "--ip=127.0.0.1",
                    "--allow-root",
                ),
                "--ServerApp.jpserver_extensions={'kf_spawner.extension': True}",
                f"--ServerApp.root_dir={user_namespace.home}",
                f"--IdentityProvider.token={token}",
                *settings,
            ],
            env={key: value for key, value in environment.items() if value},
            stdout=output,
            stderr=output,
        )
    server = ServerProcess("", token, process)
    try:
        server.url = _url(process, folder / "runtime" / f"jpserver-{process.pid}.json", log)
    except BaseException:
        server.end()
        raise
    return server


def _url(process: subprocess.Popen[bytes], info: Path, log: Path) -> str:
    """Where the server is, once it answers there."""
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with contextlib.suppress(OSError, ValueError):
            url: str = json.loads(info.read_text())["url"]
            with urllib.request.urlopen(f"{url}api", timeout=START_TIMEOUT):
                return url
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
