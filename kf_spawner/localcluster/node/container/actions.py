"""Runs the actions of probes and lifecycle hooks: a command, an HTTP request, a TCP connection, a pause.

Probes and hooks differ only in how they judge the outcome. A `Target` describes the container; knows nothing of
pods.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from ..process.records import ShimSpec

OUTPUT_LIMIT = 10 * 1024
MOST_REDIRECTS = 10


class ActionFailed(Exception):
    """The action did not succeed; the message is for an event."""


@dataclass(frozen=True)
class Target:
    """A running container: its address, its ports, and the environment of its commands.

    `translate` replaces paths and addresses in a word of a command."""

    ip: str
    ports: Mapping[str, int]
    env: Mapping[str, str]
    cwd: str
    translate: Callable[[str], str]

    @classmethod
    def of(cls, container: dict[str, Any], *, ip: str, spec: ShimSpec, translate: Callable[[str], str]) -> "Target":
        ports = {port["name"]: port["containerPort"] for port in container.get("ports") or [] if port.get("name")}
        return cls(ip=ip, ports=ports, env=spec["env"], cwd=spec["cwd"], translate=translate)

    def port(self, value: int | str) -> int:
        """The number of a port that is given by number or by name."""
        if isinstance(value, int):
            return value
        if value.isdigit():
            return int(value)
        if value not in self.ports:
            raise ActionFailed(f"the container has no port named {value!r}")
        return self.ports[value]


@dataclass(frozen=True)
class Answer:
    """The answer of a web server: its status, and whether it redirects to another host (`away`)."""

    status: int
    away: bool = False
    body: str = ""


async def perform(
    action: dict[str, Any], target: Target, http: aiohttp.ClientSession, *, timeout: float
) -> Answer | None:
    """Runs one action: `exec`, `httpGet`, `tcpSocket` or `sleep`. Raises ActionFailed, after `timeout` s at most.

    Returns the answer of a web server: a hook ignores it, a probe judges it.
    """
    if "exec" in action:
        await _execute(action["exec"].get("command") or [], target, timeout)
    elif "httpGet" in action:
        return await _request(action["httpGet"], target, http, timeout)
    elif "tcpSocket" in action:
        await _connect(action["tcpSocket"], target, timeout)
    elif "sleep" in action:
        await asyncio.sleep(min(timeout, action["sleep"].get("seconds", 0)))
    else:
        raise ActionFailed("the handler has none of exec, httpGet, tcpSocket and sleep")
    return None


async def _execute(command: list[str], target: Target, timeout: float) -> None:
    argv = [target.translate(word) for word in command]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(target.env),
            cwd=target.cwd,
            start_new_session=True,
        )
    except OSError as error:
        raise ActionFailed(
            f"{command[0] if command else 'the command'} cannot be started: {error.strerror}"
        ) from error
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout):
            output = await _read_some(process.stdout)
            code = await process.wait()
    except TimeoutError:
        raise ActionFailed(f'command timed out: "{" ".join(command)}" timed out after {timeout:g}s') from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    if code:
        raise ActionFailed(output.decode(errors="replace").strip() or f"the command ended with {code}")


async def _read_some(stream: asyncio.StreamReader) -> bytes:
    """The first OUTPUT_LIMIT bytes. Reads and drops the rest, so that the command does not block."""
    data = b""
    while chunk := await stream.read(65536):
        data = (data + chunk)[:OUTPUT_LIMIT]
    return data


async def _request(action: dict[str, Any], target: Target, http: aiohttp.ClientSession, timeout: float) -> Answer:
    scheme = (action.get("scheme") or "HTTP").lower()
    host = action.get("host") or target.ip
    path = "/" + (action.get("path") or "/").lstrip("/")
    url = URL(f"{scheme}://{host}:{target.port(action['port'])}{path}")
    headers = {header["name"]: header["value"] for header in action.get("httpHeaders") or []}
    headers.setdefault("User-Agent", "kube-probe/1.37")
    try:
        async with asyncio.timeout(timeout):
            return await _answer(url, headers, http)
    except TimeoutError:
        raise ActionFailed(f'Get "{url}": no answer within {timeout:g}s') from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ActionFailed(f'Get "{url}": {error}') from error


async def _answer(url: URL, headers: Mapping[str, str], http: aiohttp.ClientSession) -> Answer:
    """The last answer after redirects that stay on one host."""
    here = url.host
    for _ in range(MOST_REDIRECTS):
        async with http.get(url, headers=headers, ssl=False, allow_redirects=False) as response:
            there = response.headers.get("Location")
            if not 300 <= response.status < 400 or not there:
                return Answer(response.status)
            url = url.join(URL(there))
            if url.host != here:
                body = await response.content.read(OUTPUT_LIMIT)
                return Answer(response.status, away=True, body=body.decode(errors="replace"))
    raise ActionFailed(f"stopped after {MOST_REDIRECTS} redirects")


async def _connect(action: dict[str, Any], target: Target, timeout: float) -> None:
    host = action.get("host") or target.ip
    port = target.port(action["port"])
    try:
        async with asyncio.timeout(timeout):
            _reader, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise ActionFailed(f"dial tcp {host}:{port}: no answer within {timeout:g}s") from None
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ActionFailed(f"dial tcp {host}:{port}: connect: {why}") from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
