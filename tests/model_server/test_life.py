"""A model server from its start to its end: new versions, broken ones, nothing to serve, and a graceful stop."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import aiohttp
import pytest

from tests.model_server.conftest import Serve, Server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "served"
    path.mkdir()
    return path


def copy(models: Path, version: int, folder: Path, to: str | None = None) -> None:
    shutil.copytree(models / "half" / str(version), folder / (to or str(version)))


async def bias(server: Server) -> float:
    status, answer = await server.predict({"instances": [0]})
    assert status == 200, answer
    return answer["predictions"][0]


async def readiness(server: Server) -> int:
    url = server.url.partition("/v1/")[0] + "/v2/health/ready"
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return answer.status


async def test_it_listens_and_says_so_before_the_model_is_loaded(serve: Serve, models: Path, folder: Path) -> None:
    base = folder / "comes-later"
    async with serve(base) as server:
        assert await server.versions() == {}
        assert (await server.get("/metadata"))[0] == 404, "ready too early"
        assert await readiness(server) == 503
        assert (await server.predict({"instances": [0]}))[0] == 404
        base.symlink_to(models / "half")
        async with asyncio.timeout(120):
            while (await server.get("/metadata"))[0] == 404:
                await asyncio.sleep(0.02)
        assert (await server.versions())["3"][0] == "AVAILABLE", "ready too early"
        assert (await server.get("/metadata"))[0] == 200
        assert await readiness(server) == 200
        assert list(await server.versions()) == ["3"], "the latest version only"


async def test_versions_come_break_and_go_while_serving(serve: Serve, models: Path, folder: Path) -> None:
    copy(models, 1, folder)
    async with serve(folder) as server:
        await server.available(1)
        assert await bias(server) == 1.0

        failures: list[object] = []
        done = asyncio.Event()

        async def callers() -> None:
            async with aiohttp.ClientSession() as http:
                while not done.is_set():
                    async with http.post(f"{server.url}:predict", json={"instances": [0]}) as answer:
                        if answer.status != 200:
                            failures.append(await answer.text())

        calling = asyncio.create_task(callers())
        copy(models, 2, folder)
        await server.until(lambda seen: seen["1"][0] == "END" and seen["2"][0] == "AVAILABLE")
        assert await bias(server) == 2.0

        # A broken one is reported; what served before goes on.
        (folder / "3").mkdir()
        (folder / "3" / "saved_model.pb").write_bytes(b"no graph")
        code, message = (await server.until(lambda seen: seen.get("3", ("",))[0] == "END"))["3"][1:]
        assert code != "OK"
        assert message
        assert await bias(server) == 2.0

        # Mended, it is taken.
        shutil.rmtree(folder / "3")
        copy(models, 3, folder)
        await server.available(3)
        assert await bias(server) == 3.0

        # The latest goes: back to the one before.
        shutil.rmtree(folder / "3")
        await server.available(2)
        assert await bias(server) == 2.0

        # All go: what is loaded stays.
        shutil.rmtree(folder / "1")
        shutil.rmtree(folder / "2")
        await asyncio.sleep(2.5)  # that nothing happens in two looks cannot be awaited
        assert await bias(server) == 2.0
        done.set()
        await calling
        assert failures == []


async def test_a_version_is_not_loaded_while_it_is_being_written(serve: Serve, models: Path, folder: Path) -> None:
    copy(models, 1, folder)
    async with serve(folder) as server:
        await server.available(1)
        graph = (models / "half" / "2" / "saved_model.pb").read_bytes()
        shutil.copytree(models / "half" / "2" / "variables", folder / "2" / "variables")
        enough = threading.Event()
        writing = asyncio.create_task(asyncio.to_thread(write_slowly, folder / "2" / "saved_model.pb", graph, enough))
        await server.until(lambda seen: "2" in seen)
        for _ in range(30):  # some looks of the server
            await asyncio.sleep(0.1)
            assert (await server.versions())["2"][0] == "START"
        enough.set()
        await writing
        await server.available(2)
        assert await bias(server) == 2.0


def write_slowly(path: Path, content: bytes, enough: threading.Event) -> None:
    """Byte by byte, many times between two looks of a server, until it is enough; then the rest."""
    with path.open("wb", buffering=0) as file:
        for number in range(len(content)):
            if enough.wait(0.05):
                file.write(content[number:])
                return
            file.write(content[number : number + 1])
    raise AssertionError("written before it was enough")


async def test_a_model_that_is_overwritten_in_place(serve: Serve, models: Path, tmp_path: Path) -> None:
    base = tmp_path / "plain"
    shutil.copytree(models / "half" / "1", base)
    async with serve(base) as server:
        await server.available(1)
        assert await bias(server) == 1.0
        for version in (2, 3):
            shutil.copytree(models / "half" / str(version), base, dirs_exist_ok=True, copy_function=shutil.copy)
            async with asyncio.timeout(60):
                while await bias(server) != float(version):
                    await asyncio.sleep(0.1)
        (base / "saved_model.pb").write_bytes(b"no graph")
        seen = await server.until(lambda seen: seen["1"][1] != "OK")
        assert seen["1"][0] == "AVAILABLE"
        assert await bias(server) == 3.0


async def ends(server: Server) -> tuple[int | None, str]:
    code = await asyncio.wait_for(server.child.wait(), 120)
    return code, server.log.read_text().strip().splitlines()[-1]


async def test_nothing_that_can_be_served_ends_it_with_the_cause_last(
    serve: Serve, models: Path, folder: Path
) -> None:
    (folder / "1").mkdir()
    (folder / "1" / "saved_model.pb").write_bytes(b"no graph")
    async with serve(folder) as broken, serve(models / "mute") as mute:
        async with serve(folder / "none", "--wait-for-model", "1") as empty:
            code, last = await ends(empty)
            assert (code, "holds no SavedModel" in last) == (1, True), last
        code, last = await ends(broken)
        assert (code, "version 1 of m: it cannot be loaded" in last) == (1, True), last
        code, last = await ends(mute)
        assert (code, "no signature to call" in last) == (1, True), last


STEPS = 600_000


def work_of(server: Server) -> float:
    """Seconds of processor time that the server has used."""
    fields = Path(f"/proc/{server.child.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_told_to_stop_it_still_accepts_and_ends_what_it_began(serve: Serve, models: Path) -> None:
    async with serve(models / "kinds", "--accept-grace", "600") as server:
        await server.available(1)
        body = {"signature_name": "slow", "instances": [STEPS]}
        before = work_of(server)
        last = asyncio.create_task(server.predict(body))
        async with asyncio.timeout(60):
            while work_of(server) < before + 0.2:  # the request is there, and worked on
                await asyncio.sleep(0.01)
        assert not last.done(), "the prediction is too quick for this test"
        server.child.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            while await readiness(server) == 200:
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as http:
            body = {"signature_name": "upper", "instances": ["a"]}
            async with http.post(f"{server.url}:predict", json=body) as answer:
                assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert not last.done(), "the prediction is too quick for this test"
        server.child.send_signal(signal.SIGTERM)  # the second one does not wait for more requests
        assert await last == (200, {"predictions": [STEPS]})
        assert (await ends(server))[0] == 0


async def test_told_to_stop_while_loading(serve: Serve, models: Path) -> None:
    async with serve(models / "half") as server:
        server.child.send_signal(signal.SIGTERM)
        assert (await ends(server))[0] == 0


def test_a_port_that_is_taken(python: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [python, "-m", "kf_spawner.model_server", "--model-name", "m", "--model-base-path", "/nowhere"]
        done = subprocess.run([*argv, "--rest-api-port", port], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "--model-name"),
        (["--model-name", "m"], "--model-base-path"),
        (["--model-name", "a/b", "--model-base-path", "/x"], "cannot stand in a path"),
        (["--model-name", "m", "--model-base-path", "/x", "--rest-api-port", "99999"], "out of range"),
        (["--model-name", "m", "--model-base-path", "/x", "--max-body-mib", "x"], "whole number"),
        (["--model_name=m", "--model_base_path=/x", "--rest_api_port=99999"], "out of range"),
        (["--model-name", "m", "--model-base-path", "/x", "--nope"], "--nope is not honoured: leave it out"),
        (["--model_name=m", "--model_base_path=/x", "--model_config_file=/y"], "give --model-name"),
        (["--model_name=m", "--model_base_path=/x", "--enable_batching"], "--enable-batching is not honoured"),
    ],
)
def test_wrong_options_are_told_without_tensorflow(
    python: Path, options: list[str], says: str, tmp_path: Path
) -> None:
    argv = [python, "-X", "importtime", "-m", "kf_spawner.model_server", *options]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 2
    assert says in done.stderr.splitlines()[-1]
    assert "| tensorflow" not in done.stderr
