"""Real models, made once by the image's own TensorFlow, and servers of them."""

import asyncio
import io
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.fixtures.bare_hub import Process
from tests.fixtures.image_python import image_python

LISTENS = re.compile(r"listening on (http://\S+)")


Versions = dict[str, tuple[str, str, str]]
"""Version to state, code and message."""


class Server(Process):
    """A model server as a process. `url` is the model's: `http://127.0.0.1:PORT/v1/models/NAME`."""

    url = ""

    async def listening(self) -> None:
        async with asyncio.timeout(120):
            while not (found := LISTENS.search(self.log.read_text())):
                assert self.child.returncode is None, self.log.read_text()
                await asyncio.sleep(0.02)
        self.url = found[1]

    async def versions(self) -> Versions:
        """Empty if the server knows none yet."""
        status, body = await self.get("")
        if status == 404:
            return {}
        return {
            one["version"]: (one["state"], one["status"]["error_code"], one["status"]["error_message"])
            for one in body["model_version_status"]
        }

    async def until(self, condition: Callable[[Versions], bool], timeout: float = 120) -> Versions:
        """The versions as they were when the condition held."""
        async with asyncio.timeout(timeout):
            while not condition(seen := await self.versions()):
                assert self.child.returncode is None, self.log.read_text()
                await asyncio.sleep(0.05)
        return seen

    async def available(self, version: int) -> None:
        await self.until(lambda seen: seen.get(str(version), ("",))[0] == "AVAILABLE")

    async def get(self, path: str) -> tuple[int, Any]:
        return await self.request("GET", path)

    async def predict(self, body: Any, path: str = ":predict") -> tuple[int, Any]:
        sent = {"data": io.BytesIO(body)} if isinstance(body, bytes) else {"json": body}
        return await self.request("POST", path, **sent)

    async def request(self, method: str, path: str, **kwargs: Any) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as http, http.request(method, self.url + path, **kwargs) as answer:
            assert answer.content_type == "application/json"
            return answer.status, await answer.json()


Serve = Callable[..., AbstractAsyncContextManager[Server]]


@pytest.fixture(scope="package")
def python() -> Path:
    return image_python("model-server")


@pytest.fixture(scope="package")
def models(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """half (versions 1 to 3), kinds, keras, lookup and mute, each with its version folders."""
    base = tmp_path_factory.mktemp("models")
    script = Path(__file__).with_name("export_models.py")
    done = subprocess.run(
        [python, script, base], capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return base


@pytest.fixture(scope="package")
def serve(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """`async with serve(folder, "--option", "value") as server`: listens when entered; loading may go on."""

    @asynccontextmanager
    async def start(folder: Path, *options: str, name: str = "m") -> AsyncIterator[Server]:
        where = tmp_path_factory.mktemp("server")
        argv = [str(python), "-m", "kf_spawner.model_server", "--model-name", name, "--model-base-path", str(folder)]
        async with Server(
            [*argv, "--rest-api-port", "0", "--port", "0", *options], log=where / "log", cwd=where
        ) as server:
            await server.listening()
            yield server

    return start
