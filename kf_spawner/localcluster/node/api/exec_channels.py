"""Exec over a WebSocket: the protocols v5 and v4 of `channel.k8s.io`.

The first byte of each message is its channel. In v5, the byte 255 and the number of a channel close that channel.
Owns the session: it copies the streams of one command until the command, its container or its client ends.
"""

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Any

from aiohttp import WSMsgType, web

from .exec_process import ExecProcess, ExecRequest

log = logging.getLogger(__name__)

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
PING_INTERVAL = 30.0

Stopped = Callable[[], Awaitable[None]]


class Channel(IntEnum):
    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STATUS = 3
    RESIZE = 4
    CLOSE = 255


async def serve_exec(http: web.Request, request: ExecRequest, *, stopped: Stopped) -> web.WebSocketResponse:
    """Runs the command for one client; returns when the command and everything that it started has ended."""
    socket = web.WebSocketResponse(protocols=PROTOCOLS, heartbeat=PING_INTERVAL, max_msg_size=0)
    await socket.prepare(http)
    process = ExecProcess(
        request,
        on_stdout=lambda data: send(socket, Channel.STDOUT, data),
        on_stderr=lambda data: send(socket, Channel.STDERR, data),
    )
    try:
        status = await run_to_status(socket, request, process, stopped)
    finally:
        await process.kill()
    if status is not None:
        await send(socket, Channel.STATUS, json.dumps(status).encode())
        await socket.close()
    return socket


async def run_to_status(
    socket: web.WebSocketResponse, request: ExecRequest, process: ExecProcess, stopped: Stopped
) -> dict[str, Any] | None:
    """The final status for the client; None if the client has gone."""
    if problem := cannot_start(request):
        return internal_error(problem)
    try:
        await process.start()
    except OSError as error:
        return internal_error(f"cannot start {request.argv[0]!r} in {request.cwd}: {error.strerror}")
    ended = asyncio.create_task(process.wait())
    client = asyncio.create_task(receive(socket, process))
    container = asyncio.ensure_future(stopped())
    tasks = {ended, client, container}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            return exit_status(ended.result())
        return exit_status(128 + 9) if container.done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def receive(socket: web.WebSocketResponse, process: ExecProcess) -> None:
    """Passes the messages of the client to the command until the client goes."""
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if channel == Channel.STDIN:
            await process.write(data)
        elif channel == Channel.RESIZE:
            resize(process, data)
        elif channel == Channel.CLOSE and data[:1] == bytes([Channel.STDIN]):
            await process.close_stdin()


def resize(process: ExecProcess, data: bytes) -> None:
    try:
        size = json.loads(data)
        process.resize(columns=int(size["Width"]), rows=int(size["Height"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        log.warning("exec: ignoring an invalid resize message: %r", error)


async def send(socket: web.WebSocketResponse, channel: Channel, data: bytes) -> None:
    """Sends to a client that may have gone: then receive() ends, and the session with it."""
    with contextlib.suppress(ConnectionResetError):
        await socket.send_bytes(bytes([channel]) + data)


def cannot_start(request: ExecRequest) -> str:
    """Why the command cannot start, in the words of a container runtime; empty if it can."""
    command = request.argv[0]
    if "/" in command or shutil.which(command, path=request.env.get("PATH", "")):
        return ""
    return f'exec: "{command}": executable file not found in $PATH'


def exit_status(code: int) -> dict[str, Any]:
    """metav1.Status of a command that ended with `code`."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
        "code": 500,
    }


def internal_error(message: str) -> dict[str, Any]:
    """metav1.Status of a command that could not start."""
    return {
        "metadata": {},
        "status": "Failure",
        "reason": "InternalError",
        "message": f"Internal error occurred: {message}",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
