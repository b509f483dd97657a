"""What the door adds to a prediction, and what a prediction costs the door and the hub.

    make bench-door ARGS='--rounds 5 --seconds 2'

A real hub, Traefik and the door's authorizer are in front of one server, which uses `--work` ms of CPU for an answer,
about as much as a model server does for one digit. Each number of connections loads the server, then the door, by
turns first. Prints medians with the least and the most. `--keep 0` asks the hub about each request.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from benchmarks.proxy import load
from benchmarks.proxy.__main__ import spread
from benchmarks.proxy.subjects import cpu
from kf_spawner.door.authorizer import Authorizer
from kf_spawner.door.decisions import Decisions
from kf_spawner.door.dynamic import Targets, dynamic
from kf_spawner.door.hub import Hub
from kf_spawner.localcluster.node.process.shim import descendants
from kf_spawner.serving import Backends
from tests.fixtures.bare_hub import BareHub, Process, until
from tests.fixtures.door import running_door
from tests.fixtures.ports import free_ports

ROOT = Path(__file__).resolve().parents[1]
ENDPOINT = "/serving/kf-alice/digits"
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Length: {load.SMALL}\r\n\r\n".encode() + bytes(load.SMALL)


class Server(asyncio.Protocol):
    """A model server that computes nothing: one connection."""

    work = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._held = transport, b""

    def data_received(self, data: bytes) -> None:
        self._held += data
        if self._held.endswith(b"\r\n\r\n"):
            self._held = b""
            end = time.thread_time() + self.work
            while time.thread_time() < end:
                pass
            self._transport.write(ANSWER)  # type: ignore[attr-defined] # a stream's


async def serve(port: int, work: float) -> None:
    Server.work = work
    async with await asyncio.get_running_loop().create_server(Server, "127.0.0.1", port) as server:
        await server.serve_forever()


async def door(hub: str, port: int, keep: float, folder: Path) -> None:
    """The door's two processes; writes Traefik's port once it serves."""
    async with (
        Hub(hub) as asked,
        Decisions(asked.ask, keep=keep, without_hub=600) as decisions,
        Authorizer(decisions) as authorizer,
    ):
        targets = Targets("http://127.0.0.1:1", authorizer.url, "secret")
        endpoints = [Backends("kf-alice", "digits", ("127.0.0.1",), port)]
        async with running_door(folder, lambda: dynamic(targets, endpoints)) as made:
            (folder / "port").write_text(str(made.port))
            await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[int]:
    """This module as another process; its id."""
    argv = [sys.executable, "-m", "benchmarks.door", *arguments]
    async with Process(argv, log=folder / f"{arguments[0]}.log", cwd=ROOT) as process:
        yield process.child.pid


async def measure(options: argparse.Namespace, folder: Path) -> None:
    (port,) = free_ports(1)
    async with contextlib.AsyncExitStack() as stack:
        hub = await stack.enter_async_context(BareHub(folder))
        headers = f"Authorization: token {await hub.token('alice')}\r\n"
        await stack.enter_async_context(program(folder, "--serve", str(port), "--work", str(options.work)))
        await until(f"http://127.0.0.1:{port}/")
        run = ("--door", hub.authorize_url, str(port), str(folder), "--keep", str(options.keep))
        python = await stack.enter_async_context(program(folder, *run))
        file = folder / "port"
        async with asyncio.timeout(60):
            while not file.exists():
                await asyncio.sleep(0.1)
        traefik = next(pid for pid in descendants(python) if "traefik" in Path(f"/proc/{pid}/cmdline").read_text())
        pids = {"hub": hub.child.pid, "Traefik": traefik, "the door's program": python}
        through = int(file.read_text())
        await until(f"http://127.0.0.1:{through}{ENDPOINT}/", headers=dict([headers.strip().split(": ")]))
        figures: dict[str, list[float]] = defaultdict(list)

        def one(connections: int, by_the_door: bool) -> load.Load:
            where, target = (through, f"{ENDPOINT}/x") if by_the_door else (port, "/x")
            seconds = options.seconds
            return load.requests(where, connections=connections, seconds=seconds, target=target, more=headers)

        for turn in range(options.rounds):
            for connections in options.connections:
                await asyncio.to_thread(_round, figures, one, connections, turn % 2 == 0, pids)
    print("| |\n|---|---|\n" + "\n".join(f"| {name} | {spread(values)} |" for name, values in figures.items()))


def _round(
    figures: dict[str, list[float]],
    one: Callable[[int, bool], load.Load],
    connections: int,
    door_first: bool,
    pids: dict[str, int],
) -> None:
    done = {}
    for by_the_door in (door_first, not door_first):
        before = {name: cpu(pid) for name, pid in pids.items()}
        done[by_the_door] = one(connections, by_the_door)
        if by_the_door:
            for name, pid in pids.items():
                each = (cpu(pid) - before[name]) / done[True].count * 1000
                figures[f"{connections} at a time: ms of CPU a prediction, {name}"].append(each)
    direct, through = done[False], done[True]
    name = f"{connections} at a time"
    figures[f"{name}: requests/s, direct"].append(direct.count / direct.seconds)
    figures[f"{name}: requests/s, by the door"].append(through.count / through.seconds)
    figures[f"{name}: requests/s, ratio"].append(through.count / through.seconds * direct.seconds / direct.count)
    figures[f"{name}: ms more, median"].append((through.middle - direct.middle) * 1000)
    figures[f"{name}: ms, median, direct"].append(direct.middle * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default 5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each load (default 2)")
    parser.add_argument("--work", type=float, default=2.7, help="ms of CPU an answer takes the server (default 2.7)")
    parser.add_argument("--keep", type=float, default=30.0, help="seconds an answer of the hub counts (default 30)")
    parser.add_argument("--connections", type=int, nargs="*", default=[1, 8, 64], help="at a time (default 1 8 64)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--door", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="kf-bench-") as folder:
        if options.serve:
            asyncio.run(serve(options.serve, options.work / 1000))
        elif options.door:
            hub, port, where = options.door
            asyncio.run(door(hub, int(port), options.keep, Path(where)))
        else:
            asyncio.run(measure(options, Path(folder)))


if __name__ == "__main__":
    main()
