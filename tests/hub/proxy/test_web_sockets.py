"""WebSockets pass as they are: the server chooses what is agreed on, and messages have no limit."""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha1

import aiohttp
import pytest

from kf_spawner.hub.proxy.app import Proxy

from .conftest import add
from .raw import UPGRADE, ask

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n"
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def serving(proxy: Proxy, path: str, answer: Answer) -> AsyncIterator[None]:
    """A server of bytes behind a route."""
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        add(proxy, path, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        yield


def accepted(key: str) -> bytes:
    """What a server answers to a client's key (RFC 6455, 4.2.2)."""
    return b64encode(sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())


async def test_messages_pass_whatever_their_kind_and_size(proxy, http):
    async with asyncio.timeout(60), http.ws_connect("/user/x/sockets", max_msg_size=0) as socket:
        assert await socket.receive_str() == "welcome"
        await socket.send_str("hello")
        assert await socket.receive_str() == "hello"
        await socket.send_bytes(bytes(15 * 2**20))
        message = await socket.receive()
        assert message.type == aiohttp.WSMsgType.BINARY
        assert len(message.data) == 15 * 2**20


async def test_the_subprotocol_and_the_compression_are_the_servers_choice(proxy, http):
    asked = {"protocols": ["v3.example", "v2.example"], "compress": 15}
    async with http.ws_connect("/user/x/sockets", **asked) as socket:
        assert socket.protocol == "v2.example"
        assert socket.compress == 15
        assert await socket.receive_str() == "welcome"
    async with http.ws_connect("/user/x/sockets") as socket:
        assert socket.protocol is None


async def test_a_message_that_comes_with_the_handshake_is_not_lost(proxy, http):
    """In one piece with the answer, and before the caller has it."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = b"Sec-WebSocket-Accept: " + accepted(key) + b"\r\n\r\n"
        writer.write(SWITCHED + accept + b"\x81\x05early")
        await reader.read()
        writer.close()

    async with serving(proxy, "/early", answer), asyncio.timeout(60), http.ws_connect("/early") as socket:
        assert await socket.receive_str() == "early"


async def test_it_closes_with_its_server(proxy, http):
    async with asyncio.timeout(60), http.ws_connect("/user/x/sockets") as socket:
        await socket.receive_str()
        await socket.send_str("close")
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_the_server_learns_that_the_caller_has_gone(proxy):
    gone = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + b"\r\n")
        await reader.read()
        gone.set()
        writer.close()

    async with serving(proxy, "/own", answer), asyncio.timeout(60):
        assert (await ask(proxy.port, "/own", *UPGRADE)).startswith("HTTP/1.1 101 ")
        await gone.wait()


async def test_who_has_not_asked_for_one_gets_none(proxy):
    """The connection would be the server's from then on, whatever is asked next."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHED + b"\r\n")
        await reader.read()
        writer.close()

    async with serving(proxy, "/own", answer):
        assert (await ask(proxy.port, "/own")).startswith("HTTP/1.1 503 ")
        other = ("Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")
        assert (await ask(proxy.port, "/own", *other, "Connection: close")).startswith("HTTP/1.1 503 ")


async def test_to_nobody_it_is_refused(proxy, http):
    proxy.routes.remove("/")
    for path in ("/user/x/not-there", "/nowhere"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(path)
        assert caught.value.status == 404
