"""How long a start takes and what it costs, beside bare JupyterHub in the same run.

1. `kf-spawner up` to an answering login page / bare `jupyterhub` (default spawner) to an answering login page.
2. Start in the hub to a ready notebook server / `jupyterhub-singleuser` started bare in the same environment.
3. Memory of everything that `up` starts, idle: proportional set size, in MB (shared pages counted once).

Run: `make bench`, or `python -m benchmarks.startup`. Pairs alternate, so that both see the same machine.
Prints medians with the least and the most.
"""

import argparse
import asyncio
import os
import signal
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import aiohttp

from tests.e2e import product as products
from tests.e2e.client import HubClient

POLL = 0.02
SETTLE = 20.0
IMAGE = "tensorflow-2.21.0-notebook-cpu"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of each measurement (default 5)")
    asyncio.run(measure(parser.parse_args().rounds))


async def measure(rounds: int) -> None:
    with tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        root = Path(folder)
        warm = products.start(root / "home")  # builds what a first start builds
        await login_page(warm.hub)
        warm.stop()
        ours, bare = [], []
        for turn in range(rounds):
            ours.append(await time_up(root / "home"))
            bare.append(await time_bare_hub(root / f"bare{turn}"))
        report("up to login page", ours, "bare jupyterhub", bare)
        await servers(root / "home", rounds)


async def time_up(home: Path) -> float:
    port = products.free_port()
    argv = [sys.executable, "-m", "kf_spawner.cli", "up", f"--home={home}", f"--port={port}"]
    return await time_to_page(argv, f"http://127.0.0.1:{port}/hub/login", cwd=home.parent)


async def time_bare_hub(folder: Path) -> float:
    folder.mkdir()
    port, hub, api = (products.free_port() for _ in range(3))
    argv = [
        sys.executable,
        "-m",
        "jupyterhub",
        f"--JupyterHub.bind_url=http://127.0.0.1:{port}",
        f"--JupyterHub.hub_bind_url=http://127.0.0.1:{hub}",
        f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{api}",
        "--Authenticator.allow_all=True",
    ]
    return await time_to_page(argv, f"http://127.0.0.1:{port}/hub/login", cwd=folder)


async def time_to_page(argv: list[str], url: str, *, cwd: Path) -> float:
    env = {**products.clean_environment(), "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"}
    began = time.monotonic()
    process = subprocess.Popen(
        argv, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        await login_page(url)
        return time.monotonic() - began
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(90)


async def login_page(url: str) -> None:
    async with aiohttp.ClientSession() as session, asyncio.timeout(120):
        while not await answers(session, url):
            await asyncio.sleep(POLL)


async def answers(session: aiohttp.ClientSession, url: str, headers: dict | None = None) -> bool:
    try:
        async with session.get(url, headers=headers, allow_redirects=True) as response:
            return response.status == 200
    except (aiohttp.ClientError, OSError):
        return False


async def servers(home: Path, rounds: int) -> None:
    running = products.start(home)
    try:
        async with HubClient(running.hub) as client:
            await client.make_token()
            await asyncio.sleep(SETTLE)
            memory = pss_by_name(home)
            print(f"memory of all that up starts, idle: {sum(memory.values()):.0f} MB")
            for name, size in sorted(memory.items(), key=lambda item: -item[1]):
                print(f"    {size:6.0f} MB  {name}")
            await client.spawn({"image": IMAGE})  # pulls the image, makes the claim
            await client.stop_server()
            ours, bare = [], []
            for _ in range(rounds):
                ours.append(await time_spawn(client))
                bare.append(await time_singleuser(client, running))
            report("Start to ready server", ours, "bare jupyterhub-singleuser", bare)
    finally:
        running.stop()


async def time_spawn(client: HubClient) -> float:
    began = time.monotonic()
    await client.spawn({"image": IMAGE})
    elapsed = time.monotonic() - began
    await client.stop_server()
    return elapsed


async def time_singleuser(client: HubClient, running: products.Product) -> float:
    """The same program of the same environment, with the same hub, but started by hand."""
    environment = image_environment()
    port = products.free_port()
    prefix = f"/user/{client.user}/"
    with tempfile.TemporaryDirectory(prefix="kf-bench-home-") as folder:
        env = {
            "PATH": f"{environment}/bin:{os.environ['PATH']}",
            "HOME": folder,
            "JUPYTERHUB_API_TOKEN": client.token,
            "JUPYTERHUB_API_URL": f"{client.url}/hub/api",
            "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-admin",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
            "JUPYTERHUB_SERVICE_PREFIX": prefix,
            "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}{prefix}",
            "JUPYTERHUB_USER": client.user,
        }
        began = time.monotonic()
        process = subprocess.Popen(
            [f"{environment}/bin/jupyterhub-singleuser", "--allow-root"],
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession() as session, asyncio.timeout(60):
                while not await answers(session, f"http://127.0.0.1:{port}{prefix}api"):
                    await asyncio.sleep(POLL)
            return time.monotonic() - began
        finally:
            process.terminate()
            process.wait(30)


def image_environment() -> Path:
    """The environment that the local node built for the image."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kf-spawner" / "images" / IMAGE
    return max(cache.iterdir(), key=lambda path: path.stat().st_mtime) / "python"


def pss_by_name(home: Path) -> dict[str, float]:
    """Proportional set size in MB of each process of the home directory (proc(5), smaps_rollup)."""
    sizes: dict[str, float] = {}
    for line in products.processes_of(home):
        pid, _, command = line.partition(" ")
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        pss = next(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
        name = " ".join(Path(word).name for word in command.split()[:3])
        sizes[f"{name} ({pid})"] = pss / 1024
    return sizes


def report(name: str, ours: list[float], peer: str, theirs: list[float]) -> None:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"{name}: {spread(ours)} s; {peer}: {spread(theirs)} s; ratio {spread(ratios)}")


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
