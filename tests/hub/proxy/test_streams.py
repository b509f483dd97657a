"""Large bodies pass as they come: memory stays, and a side that is slow holds back the other."""

import asyncio
import io

import pytest

from kf_spawner.hub.limits import MAX_BODY

from .conftest import DOOR, Server
from .raw import UPGRADE, ask

SIZE = 256 * 2**20
PIECE = bytes(2**20)
MORE_MEMORY = 20 * 2**20
HEAD = "Host: h\r\n" + "".join(f"{name}: {value}\r\n" for name, value in DOOR.items())


class Peak:
    """How much more memory this process has had than at the beginning, in bytes (proc(5), clear_refs 5)."""

    def __enter__(self) -> "Peak":
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        self._began = self._high()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.grew = self._high() - self._began

    @staticmethod
    def _high() -> int:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) * 1024


async def pieces(count: int):
    for _ in range(count):
        yield PIECE


@pytest.mark.parametrize("headers", [{"Content-Length": str(SIZE)}, {}], ids=["length", "chunked"])
async def test_a_large_body_goes_up_in_little_memory(proxy, http, server, headers):
    body = pieces(SIZE // len(PIECE))
    with Peak() as peak:
        async with asyncio.timeout(120), http.put("/user/x/sink", data=body, headers=headers) as done:
            assert (done.status, await done.text()) == (200, str(SIZE))
    assert peak.grew < MORE_MEMORY


async def test_a_large_body_comes_down_in_little_memory(proxy, http):
    with Peak() as peak:
        async with asyncio.timeout(120), http.get(f"/user/x/many?size={SIZE}") as answer:
            got = 0
            async for piece in answer.content.iter_any():
                got += len(piece)
    assert got == SIZE
    assert peak.grew < MORE_MEMORY


async def test_a_server_that_reads_slowly_holds_back_the_caller(proxy, server):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"PUT /user/x/slow HTTP/1.1\r\n{HEAD}Content-Length: {SIZE}\r\n\r\n".encode())
    left = await push(writer, SIZE)
    assert left > SIZE * 3 / 4, "somebody keeps what the server does not read"
    server.go_on.set()
    assert await push(writer, left, patience=60) == 0
    async with asyncio.timeout(60):
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_caller_who_reads_slowly_holds_back_the_server(proxy, server):
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(f"GET /user/x/many?size={SIZE} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
    assert await until_still(server) < SIZE / 4, "somebody keeps what the caller does not read"
    async with asyncio.timeout(60):
        assert await length(reader) > SIZE
    writer.close()


async def test_web_sockets_hold_back_both_ways(proxy, server):
    """The server answers each message with the same. Who reads none can soon send none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write("\r\n".join([f"GET /user/x/sockets HTTP/1.1\r\n{HEAD.strip()}", *UPGRADE, "", ""]).encode())
    with Peak() as peak:
        # A whole message of 1 MiB, whose mask is zero.
        message = b"\x82\xff" + len(PIECE).to_bytes(8) + bytes(4) + PIECE
        left = await push(writer, SIZE, message)
        assert left > SIZE * 3 / 4
        reading = asyncio.create_task(length(reader, SIZE))
        assert await push(writer, left, message, patience=60) == 0
        async with asyncio.timeout(60):
            assert await reading >= SIZE
    assert peak.grew < 2 * MORE_MEMORY, "the server and the caller of this test have whole messages, too"
    writer.close()


async def test_an_answer_before_the_body_has_come_passes(proxy, http):
    async with asyncio.timeout(60), http.put("/user/x/refuse", data=pieces(64)) as answer:
        assert (answer.status, await answer.text()) == (413, "too large")


async def test_the_hub_is_asked_for_no_more_than_it_keeps_in_memory(proxy, http):
    """It reads a body before it asks who the caller is."""
    async with http.post("/hub/login", data=io.BytesIO(bytes(MAX_BODY))) as answer:
        assert answer.status == 201
    size = f"Content-Length: {MAX_BODY + 1}"
    assert (await ask(proxy.port, "/hub/login", size, "Connection: close", method="POST")).startswith("HTTP/1.1 413 ")
    chunked = await ask(proxy.port, "/hub/login", "Transfer-Encoding: chunked", "Connection: close", method="POST")
    assert chunked.startswith("HTTP/1.1 411 ")


async def push(writer: asyncio.StreamWriter, left: int, piece: bytes = PIECE, *, patience: float = 0.5) -> int:
    """Sends pieces until nothing is taken for `patience` seconds. Returns how many bytes of `left` are not sent."""
    while left > 0:
        writer.write(piece)
        left -= len(PIECE)
        try:
            await asyncio.wait_for(writer.drain(), patience)
        except TimeoutError:
            break
    return left


async def until_still(server: Server) -> int:
    """How much the server has sent when it has sent nothing for half a second."""
    before = -1
    while server.taken != before:
        before = server.taken
        await asyncio.sleep(0.5)
    return before


async def length(reader: asyncio.StreamReader, least: int = 2**62) -> int:
    """How many bytes come to the end, or until there are `least`."""
    got = 0
    while got < least and (piece := await reader.read(2**18)):
        got += len(piece)
    return got
