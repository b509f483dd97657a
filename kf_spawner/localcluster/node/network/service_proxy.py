"""Serves the cluster address of a service: a listener on loopback that forwards each connection to a ready pod.

The selector of the service finds the pods on this node, from watches that run only for the namespaces in use. TCP
only. Knows nothing of how addresses are allocated: `addresses.py` does that.
"""

import asyncio
import contextlib
import logging
import random
import socket
import struct
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from kf_spawner.k8s import conditions
from kf_spawner.kube import Client, Informer
from kf_spawner.kube.resources import PODS, SERVICES

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
TRIES = 3
BUFFER = 64 * 1024


@dataclass
class _Namespace:
    services: Informer
    pods: Informer
    stack: AsyncExitStack
    listeners: dict[tuple[str, int, int], asyncio.Server] = field(default_factory=dict)


class ServiceProxy:
    """The listeners of the services of one node. `close` ends every listener and connection."""

    def __init__(self, client: Client):
        self._client = client
        self._namespaces: dict[str, _Namespace] = {}
        self._lock = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(
        self, namespace: str, service: str, port: int, *, address: str, local_port: int, node_name: str
    ) -> None:
        """Forwards connections from `address:local_port` to `port` of the service. Raises OSError."""
        async with self._lock:
            watched = self._namespaces.get(namespace) or await self._watch(namespace, node_name)
            if (service, port, local_port) in watched.listeners:
                return

            async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._connections.add(task)
                try:
                    await _serve(watched, f"{namespace}/{service}", port, reader, writer)
                finally:
                    self._connections.discard(task)

            server = await asyncio.start_server(accept, address, local_port, limit=BUFFER)
            watched.listeners[service, port, local_port] = server

    async def stop(self, namespace: str, service: str) -> None:
        """Stops listening for this service; stops the watch after the last service of the namespace."""
        async with self._lock:
            watched = self._namespaces.get(namespace)
            if watched is None:
                return
            for key in [key for key in watched.listeners if key[0] == service]:
                watched.listeners.pop(key).close()
            if not watched.listeners:
                await self._namespaces.pop(namespace).stack.aclose()

    async def close(self) -> None:
        async with self._lock:
            for watched in self._namespaces.values():
                for server in watched.listeners.values():
                    server.close()
                await watched.stack.aclose()
            self._namespaces.clear()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _watch(self, namespace: str, node_name: str) -> _Namespace:
        services = Informer(self._client, SERVICES, namespace)
        # A node may watch only its own pods.
        pods = Informer(self._client, PODS, namespace, field_selector=f"spec.nodeName={node_name}")
        stack = AsyncExitStack()
        await stack.enter_async_context(services)
        await stack.enter_async_context(pods)
        self._namespaces[namespace] = watched = _Namespace(services, pods, stack)
        return watched


def backends(service: dict[str, Any], pods: list[dict[str, Any]], port: int) -> list[tuple[str, int]]:
    """The addresses behind `port` of `service`: the ready pods of its selector, with the target port of each."""
    selector = service["spec"].get("selector") or {}
    entry = next((each for each in service["spec"].get("ports") or [] if each["port"] == port), None)
    if not selector or entry is None:
        return []
    unready_too = bool(service["spec"].get("publishNotReadyAddresses"))
    found = []
    for pod in pods:
        status, labels = pod.get("status") or {}, pod["metadata"].get("labels") or {}
        ready = conditions.is_true(status, "Ready")
        gone = pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed")
        if gone or not status.get("podIP") or not selector.items() <= labels.items() or not (ready or unready_too):
            continue
        target = _target_port(pod, entry.get("targetPort") or port)
        if target is not None:
            found.append((status["podIP"], target))
    return found


def _target_port(pod: dict[str, Any], target: int | str) -> int | None:
    if isinstance(target, int):
        return target
    ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or [])
    return next((port["containerPort"] for port in ports if port.get("name") == target), None)


async def _serve(
    watched: _Namespace, key: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.closing(writer):
        upstream = await _connect(watched, key, port)
        if upstream is None:
            _reset(writer)
            return
        # Each direction ends by itself: a client may have sent everything and still wait for the answer.
        with contextlib.closing(upstream[1]):
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, upstream[1]))
                group.create_task(_copy(upstream[0], writer))


async def _connect(
    watched: _Namespace, key: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    async with asyncio.timeout(CONNECT_TIMEOUT):
        await watched.services.synced()
        await watched.pods.synced()
    service = watched.services.get(key)
    candidates = backends(service, watched.pods.items(), port) if service else []
    random.shuffle(candidates)
    for host, target in candidates[:TRIES]:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                return await asyncio.open_connection(host, target, limit=BUFFER)
        except OSError as error:  # TimeoutError is one
            log.info("service %s: %s:%d does not answer: %s", key, host, target, error)
    return None


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with a reset: the nearest to a refusal for an accepted connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(BUFFER):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        _reset(writer)
