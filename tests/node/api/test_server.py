"""The node's server as its one client sees it: over TLS with a certificate, WebSockets for exec."""

import asyncio
import json
import ssl
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from kf_spawner.localcluster.controlplane.pki import SERVER, Authority, Leaf
from kf_spawner.localcluster.node.api.server import NO_ATTACH, NO_PORT_FORWARD, NodeServer, ServerTls

WHO = ("ns", "pod", "app")
V5 = "v5.channel.k8s.io"
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"), "ca")


@pytest.fixture
def containers(containers):
    containers.start(*WHO)
    return containers


@pytest.fixture
async def server(containers, authority):
    serving = authority.issue("node", Leaf("system:node:local", usages=(SERVER,), hosts=("127.0.0.1",)))
    tls = ServerTls(certificate=serving.certificate, key=serving.key, client_authority=authority.pair.certificate)
    async with NodeServer(containers, tls=tls) as running:
        yield running


def tls_of(authority, common_name):
    context = ssl.create_default_context(cafile=str(authority.pair.certificate))
    if common_name:
        pair = authority.issue(f"client-{common_name}", Leaf(common_name))
        context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.fixture
async def api(server, authority):
    connector = aiohttp.TCPConnector(ssl=tls_of(authority, "kube-apiserver-kubelet-client"))
    async with aiohttp.ClientSession(f"https://127.0.0.1:{server.port}", connector=connector) as session:
        yield session


class Exec:
    """One exec session of a client."""

    def __init__(self, socket):
        self.socket = socket
        self.output = {STDOUT: b"", STDERR: b""}

    async def type(self, data: bytes):
        await self.socket.send_bytes(bytes([STDIN]) + data)

    async def close_stdin(self):
        await self.socket.send_bytes(bytes([CLOSE, STDIN]))

    async def until(self, text: bytes):
        while text not in self.output[STDOUT]:
            await self._message()

    async def status(self):
        async with asyncio.timeout(30):
            while not (status := await self._message()):
                pass
        return status

    async def code(self):
        status = await self.status()
        return 0 if status["status"] == "Success" else int(status["details"]["causes"][0]["message"])

    async def _message(self):
        message = await asyncio.wait_for(self.socket.receive(), 30)
        assert message.type is aiohttp.WSMsgType.BINARY, message
        channel, data = message.data[0], message.data[1:]
        if channel == STATUS:
            return json.loads(data)
        self.output[channel] += data
        return None


@asynccontextmanager
async def exec_(api, *argv, protocol=V5, **streams):
    query = [("command", argument) for argument in argv]
    query += [(name, "1") for name in ({"output": 1, "error": 1} | streams)]
    async with api.ws_connect(f"/exec/{'/'.join(WHO)}", params=query, protocols=(protocol,)) as socket:
        yield Exec(socket)


async def eventually(condition, timeout=30.0):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "in vain"
        await asyncio.sleep(0.02)


def is_gone(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def test_only_the_api_server_may_call(server, authority):
    for name in ("", "kf-spawner:hub"):
        connector = aiohttp.TCPConnector(ssl=tls_of(authority, name))
        async with aiohttp.ClientSession(f"https://127.0.0.1:{server.port}", connector=connector) as session:
            if name:
                async with session.get("/healthz") as response:
                    assert (response.status, await response.text()) == (
                        403,
                        "kf-spawner:hub may not call this node; ask the API server",
                    )
            else:
                with pytest.raises(aiohttp.ClientError):
                    await session.get("/healthz")


async def test_healthz(api):
    async with api.get("/healthz") as response:
        assert (response.status, await response.text()) == (200, "ok")


async def test_logs(api, containers):
    containers.logs[WHO][0].feed("stdout", b"one\ntwo\n")
    async with api.get(f"/containerLogs/{'/'.join(WHO)}", params={"tailLines": "1"}) as response:
        assert (response.status, await response.text()) == (200, "two\n")


@pytest.mark.parametrize(
    ("path", "query", "status", "words"),
    [
        ("ns/pod/app", {"tailLines": "x"}, 400, "tailLines: 'x' is not a whole number"),
        ("ns/pod/app", {"previous": "true"}, 400, "previous terminated container"),
        ("ns/pod/other", {}, 404, 'no container "other"'),
    ],
)
async def test_no_logs(api, path, query, status, words):
    async with api.get(f"/containerLogs/{path}", params=query) as response:
        assert response.status == status
        assert words in await response.text()


async def test_follow_gives_lines_as_they_come(api, containers):
    log = containers.logs[WHO][0]
    async with api.get(f"/containerLogs/{'/'.join(WHO)}", params={"follow": "true"}) as response:
        log.feed("stdout", b"now\n")
        assert await asyncio.wait_for(response.content.readline(), 30) == b"now\n"
        containers.stop(*WHO)
        assert await asyncio.wait_for(response.content.read(), 30) == b""


async def test_a_follower_that_goes_leaves_nothing(api, containers):
    before = len(asyncio.all_tasks())
    async with api.get(f"/containerLogs/{'/'.join(WHO)}", params={"follow": "true"}) as response:
        containers.logs[WHO][0].feed("stdout", b"now\n")
        await response.content.readline()
        response.close()
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_exec_output_and_exit_codes(api):
    async with exec_(api, "sh", "-c", "echo out; echo err >&2; echo $GREETING; exit 7") as session:
        status = await session.status()
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"]["causes"] == [{"reason": "ExitCode", "message": "7"}]
    assert session.output == {STDOUT: b"out\nhello\n", STDERR: b"err\n"}
    async with exec_(api, "true") as session:
        assert await session.code() == 0
    async with exec_(api, "sh", "-c", "kill -TERM $$") as session:
        assert await session.code() == 128 + 15


async def test_exec_input_to_its_end(api):
    async with exec_(api, "wc", "-c", input=1) as session:
        for _ in range(40):
            await session.type(b"x" * 30_000)
        await session.close_stdin()
        assert await session.code() == 0
    assert session.output[STDOUT].strip() == b"1200000"


async def test_exec_paths_are_translated(api, containers):
    (containers.root / "file").write_text("content")
    async with exec_(api, "cat", "/home/jovyan/file") as session:
        assert await session.code() == 0
    assert session.output[STDOUT] == b"content"


async def test_exec_large_output_is_whole(api):
    async with exec_(api, "head", "-c", "5000000", "/dev/zero") as session:
        assert await session.code() == 0
    assert len(session.output[STDOUT]) == 5_000_000


async def test_exec_in_a_terminal(api):
    async with exec_(api, "bash", "--norc", input=1, tty=1) as session:
        await session.socket.send_bytes(bytes([RESIZE]) + b'{"Width": 93, "Height": 41}')
        await session.type(b"tty -s && sh -c 'echo a terminal; stty size; exec sleep 100'\n")
        await session.until(b"41 93")
        await session.type(b"\x03")  # Ctrl-C goes to the foreground job alone
        await session.type(b"exit 5\n")
        assert await session.code() == 5, session.output
    assert b"a terminal\r\n" in session.output[STDOUT]


async def test_exec_with_protocol_v4(api):
    async with exec_(api, "echo", "hi", protocol="v4.channel.k8s.io") as session:
        assert await session.code() == 0
    assert session.output[STDOUT] == b"hi\n"


@pytest.mark.parametrize("tty", [False, True])
async def test_a_client_that_goes_takes_its_processes_along(api, tty):
    script = "echo pid=$$.; set -m; sleep 100 & echo job=$!.; wait"
    async with exec_(api, "bash", "-c", script, **({"tty": 1} if tty else {})) as session:
        await session.until(b"job=")
        await session.until(b".\n" if not tty else b".\r\n")
        out = session.output[STDOUT].decode()
        pids = [out.split(f"{name}=")[1].split(".")[0] for name in ("pid", "job")]
    await eventually(lambda: all(is_gone(pid) for pid in pids))


async def test_exec_ends_with_its_container(api, containers):
    async with exec_(api, "sleep", "100") as session:
        containers.stop(*WHO)
        assert await session.code() == 137


async def test_what_a_command_leaves_running_does_not_hold_its_end(api):
    async with exec_(api, "sh", "-c", "sleep 100 & echo $!") as session:
        assert await session.code() == 0
    await eventually(lambda: is_gone(session.output[STDOUT].decode().strip()))


async def test_exec_of_what_is_not_there(api):
    async with exec_(api, "no-such-thing") as session:
        status = await session.status()
    assert status["reason"] == "InternalError"
    assert 'exec: "no-such-thing": executable file not found in $PATH' in status["message"]
    async with exec_(api, "/no/such/thing") as session:
        assert await session.code() == 127


async def test_exec_needs_a_running_container_and_a_websocket(api, containers):
    path = f"/exec/{'/'.join(WHO)}"
    async with api.post(path, params={"command": "ls"}) as response:
        assert response.status == 400
        assert "ExtendWebSocketsToKubelet" in await response.text()
    async with api.get(path) as response:
        assert (response.status, await response.text()) == (400, "command: give the command to run")
    containers.stop(*WHO)
    async with api.get(path, params={"command": "ls"}) as response:
        assert (response.status, await response.text()) == (400, 'container "app" of pod "ns/pod" is not running')


async def test_what_this_node_has_not(api):
    async with api.post("/portForward/ns/pod") as response:
        assert (response.status, await response.text()) == (400, NO_PORT_FORWARD)
    async with api.get("/attach/ns/pod/app") as response:
        assert (response.status, await response.text()) == (400, NO_ATTACH)


async def test_the_server_stops_with_sessions_open(containers, authority):
    serving = authority.issue("node", Leaf("system:node:local", usages=(SERVER,), hosts=("127.0.0.1",)))
    tls = ServerTls(certificate=serving.certificate, key=serving.key, client_authority=authority.pair.certificate)
    connector = aiohttp.TCPConnector(ssl=tls_of(authority, "kube-apiserver-kubelet-client"))
    async with NodeServer(containers, tls=tls) as server:
        base = f"https://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(base, connector=connector) as api:
            socket = await api.ws_connect(
                f"/exec/{'/'.join(WHO)}",
                params=[("command", "sh"), ("command", "-c"), ("command", "echo $$; sleep 100"), ("output", "1")],
                protocols=(V5,),
            )
            pid = (await socket.receive()).data[1:].decode().strip()
            began = time.monotonic()
            await server.__aexit__()
            assert time.monotonic() - began < 20
            await eventually(lambda: is_gone(pid))
            await socket.close()
