"""The informer against the real API server over a line that is cut, goes silent, or comes back too late."""

import asyncio
import contextlib
import dataclasses

import pytest

from kf_spawner.kube import Client, Informer, load_config
from kf_spawner.kube import client as client_module
from kf_spawner.kube.resources import CONFIGMAPS, NAMESPACES


class Line:
    """A TCP line to the API server. `cut` ends its connections and takes no new ones; `hush` silences them."""

    def __init__(self, port: int):
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        self._flows = asyncio.Event()
        self._silent: list[asyncio.Event] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> "Line":
        self._flows.set()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        assert self._server
        self._server.close()
        self.cut()
        for flows in self._silent:
            flows.set()

    @property
    def url(self) -> str:
        assert self._server
        return f"https://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def mend(self) -> None:
        self._is_cut = False

    def hush(self) -> None:
        self._flows.clear()
        self._silent.append(self._flows)
        self._flows = asyncio.Event()
        self._flows.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        flows = self._flows
        self._writers.add(writer)
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.add(there_writer)
        if writer.transport.is_closing():  # cut meanwhile
            there_writer.transport.abort()
        await asyncio.gather(self._pass(reader, there_writer, flows), self._pass(there_reader, writer, flows))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


class Watched:
    """Config maps of one namespace: an informer over a line, and a client that does not need it."""

    def __init__(self, direct: Client, through: Client, line: Line, namespace: str):
        self.direct, self.through, self.line, self._namespace = direct, through, line, namespace
        self.news: list[tuple[str, str]] = []
        self.informer = Informer(
            through,
            CONFIGMAPS,
            namespace,
            on_change=self._on_change,
            field_selector="metadata.name!=kube-root-ca.crt",
        )

    def _on_change(self, key: str, old: dict | None, new: dict | None) -> None:
        what = "gone" if new is None else "new" if old is None else "changed"
        self.news.append((what, key.partition("/")[2]))

    async def put(self, name: str) -> None:
        await self.direct.create(CONFIGMAPS, config_map(name=name), self._namespace)

    async def remove(self, name: str) -> None:
        await self.direct.delete(CONFIGMAPS, name, self._namespace)

    async def until(self, *news: tuple[str, str], timeout: float = 60.0) -> None:
        """Exactly these, one after the other, since the last time."""
        async with asyncio.timeout(timeout):
            while len(self.news) < len(news):
                await asyncio.sleep(0.02)
        assert sorted(self.news) == sorted(news)
        self.news.clear()

    @property
    def lists(self) -> int:
        return self.through.requests["GET", 200]

    @property
    def watches(self) -> int:
        return self.through.requests["WATCH", 200]


def config_map(**metadata: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


@contextlib.asynccontextmanager
async def watching(plane):
    config = load_config(plane.admin_kubeconfig)
    async with Line(int(config.server.rpartition(":")[2])) as line, Client(config, user_agent="test") as direct:
        made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "line-"}}
        namespace = (await direct.create(NAMESPACES, made))["metadata"]["name"]
        try:
            over_line = dataclasses.replace(config, server=line.url)
            async with Client(over_line, user_agent="test", timeout=5) as through:
                watched = Watched(direct, through, line, namespace)
                async with watched.informer:
                    await watched.informer.synced()
                    await watched.put("first")
                    await watched.until(("new", "first"))
                    yield watched
        finally:
            await direct.delete(NAMESPACES, namespace)


@pytest.fixture
async def watched(control_plane):
    async with watching(control_plane) as watched:
        yield watched


async def test_after_a_cut_it_resumes_where_it_was(watched):
    watched.line.cut()
    await watched.put("while-away")
    await watched.remove("first")
    lists = watched.lists
    watched.line.mend()
    await watched.until(("new", "while-away"), ("gone", "first"))
    assert watched.lists == lists, "it listed again"


async def test_a_line_that_goes_silent_is_given_up(watched, monkeypatch):
    monkeypatch.setattr(client_module, "WATCH_SILENCE", 1.0)
    watches = watched.watches
    watched.line.cut()  # the next watch takes the shorter time
    watched.line.mend()
    async with asyncio.timeout(60):
        while watched.watches == watches:
            await asyncio.sleep(0.02)
    watched.line.hush()
    await watched.put("unheard")
    assert not watched.news
    await watched.until(("new", "unheard"))


async def test_bookmarks_move_its_version_on(watched, monkeypatch):
    """Others' changes make the version that it holds old; with bookmarks it never gets too old to resume from."""
    made = await watched.direct.create(CONFIGMAPS, config_map(generateName="other-"), "default")

    async def moves_on(within: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while int(watched.informer._version) < int(made["metadata"]["resourceVersion"]):
                    await asyncio.sleep(0.05)
                return True
        return False

    # The server sends one 2 s before a watch's end if it comes to that in time, and one each minute for sure.
    for watch_timeout, within in ((5, 12), (300, 180)):
        monkeypatch.setattr(client_module, "WATCH_TIMEOUT", watch_timeout)
        watched.line.cut()
        watched.line.mend()
        if await moves_on(within):
            break
    else:
        raise AssertionError("no bookmark came")
    assert not watched.news
    await watched.direct.delete(CONFIGMAPS, made["metadata"]["name"], "default")


async def test_too_late_to_resume_it_lists_and_misses_nothing(new_control_plane):
    """A new process of the API server remembers no change from before: to resume from there is 410 Gone."""
    async with watching(new_control_plane) as watched:
        watched.line.cut()
        await watched.remove("first")
        await watched.put("while-away")
        lists = watched.lists
        await asyncio.to_thread(new_control_plane.kill, "kube-apiserver")
        await asyncio.to_thread(new_control_plane.start, ["kube-apiserver"])
        watched.line.mend()
        await watched.until(("gone", "first"), ("new", "while-away"))
        assert watched.lists == lists + 1
        await asyncio.to_thread(new_control_plane.kill, "kube-apiserver")
        await asyncio.to_thread(new_control_plane.start, ["kube-apiserver"])
        await watched.put("later")
        await watched.until(("new", "later"))
