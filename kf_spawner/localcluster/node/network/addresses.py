"""Allocates loopback addresses to pods and services.

Every pod has its own address in a slice 127.N.0.0/16 that no other node on the machine uses. The port of a headless
service becomes a free port of the machine, the same in every pod. A service with a cluster address becomes a
loopback address where `service_proxy.py` listens. Allocations are written to disk before they are used, so pods
that outlive this process keep theirs. `common/translate.py` finds the names of services in a text.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kf_spawner.kube import ApiError, Client
from kf_spawner.kube.resources import SERVICES

from ..common.json_files import read_json, write_json
from ..common.translate import ServiceName
from .reservations import Reservations
from .service_proxy import ServiceProxy

log = logging.getLogger(__name__)

POD_HOSTS = range(1, 240 * 256)
SERVICE_HOSTS = range(240 * 256 + 1, 255 * 256)


class MissingService(Exception):
    """A pod names a service that does not exist yet, so the pod waits."""


class Untranslatable(Exception):
    """A name that has no address on this machine until somebody changes the pod or the service."""


@dataclass
class _Book:
    """The allocations. Keys of services are `namespace/name`, of ports `namespace/name/port`."""

    slice: int | None = None
    pods: dict[str, str] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    """The services that a pod names, by the pod's uid."""
    bare: list[str] = field(default_factory=list)
    """The services that some pod names without a port."""
    last_pod: int = 0


class Addresses:
    """The addresses that one node allocates, kept in `<root>/addresses.json`."""

    def __init__(self, client: Client, root: Path):
        self._client = client
        self._path = root / "addresses.json"
        self._book: _Book | None = None
        self._reservations = Reservations()
        self._proxy = ServiceProxy(client)
        self._lock = asyncio.Lock()
        self._sweeper: asyncio.Task[None] | None = None

    async def adopt(self, pods: Iterable[dict[str, Any]]) -> None:
        """Call it once after a start, with the pods that are bound to this node: they keep their addresses, and
        their services get listeners again. Everything else becomes free."""
        pods = list(pods)
        book = self._opened()
        kept = {pod["metadata"]["uid"]: pod["spec"]["nodeName"] for pod in pods}
        book.pods = {uid: ip for uid, ip in book.pods.items() if uid in kept}
        book.users = {uid: keys for uid, keys in book.users.items() if uid in kept}
        self._save()
        for node_name in set(kept.values()):
            used = {key for uid, keys in book.users.items() if kept[uid] == node_name for key in keys}
            for key in used & book.services.keys():
                await self._listen_again(key, node_name)
        self._sweep_soon()

    async def pod_ip(self, pod_uid: str) -> str:
        """The address of the pod; it stays the same until `release`."""
        book = self._opened()
        if pod_uid not in book.pods:
            used = set(book.pods.values())
            for step in range(1, len(POD_HOSTS) + 1):
                # A released address is reused last, so that a client does not reach another pod at an old address.
                host = POD_HOSTS[(book.last_pod + step - 1) % len(POD_HOSTS)]
                if self._host(host) not in used:
                    break
            else:
                raise Untranslatable("no pod address is left on this node")
            book.pods[pod_uid], book.last_pod = self._host(host), host
            self._save()
        return book.pods[pod_uid]

    def release(self, pod_uid: str) -> None:
        """The pod is gone: frees its address, and the addresses of services that no other pod uses."""
        book = self._opened()
        had = book.pods.pop(pod_uid, None), book.users.pop(pod_uid, None)
        if any(had):
            self._save()
            self._sweep_soon()

    async def close(self) -> None:
        """Stops listening; the allocations stay on disk."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self._proxy.close()
        self._reservations.close()

    async def resolve(self, pod: dict[str, Any], names: Iterable[ServiceName]) -> dict[ServiceName, str]:
        """The address for each of `names` that is a service, allocated for `pod` until `release`.

        Raises MissingService, Untranslatable, or ApiError if the API server fails.
        """
        names = sorted(names, key=str)
        services = await self._services({name.namespace for name in names})
        texts = {}
        for name in names:
            if (name.namespace, name.service) == ("default", "kubernetes"):
                texts[name] = self._api_server(name)
                continue
            service = services.get(f"{name.namespace}/{name.service}")
            if service is None and name.certain:
                raise MissingService(f'waiting for service "{name.service}" in namespace "{name.namespace}"')
            text = await self._text(pod, name, service) if service else None
            if text is not None:
                texts[name] = text
        return texts

    async def _text(self, pod: dict[str, Any], name: ServiceName, service: dict[str, Any]) -> str | None:
        spec = service["spec"]
        declared = [port["port"] for port in spec.get("ports") or []]
        if not name.certain and not name.scheme and name.port not in declared:
            return None  # a word followed by a number, but not this service
        if spec.get("type") == "ExternalName":
            return f"{spec['externalName']}:{name.port}" if name.port else str(spec["externalName"])
        if spec.get("clusterIP") == "None":
            if name.port is None:
                raise Untranslatable(
                    f'service "{name.service}" is headless and named without a port: on this node only name and port '
                    f"together lead to a pod; write {name.service}.{name.namespace}.svc:PORT"
                )
            return f"127.0.0.1:{await self._headless_port(pod, name)}"
        if not spec.get("selector"):
            raise Untranslatable(f'service "{name.service}" has no selector, so no pod of this node can answer')
        if name.port is None:
            return await self._bare_address(pod, service)
        address, ports = await self.service_address(pod, service)
        return f"{address}:{ports.get(name.port, name.port)}"

    async def _headless_port(self, pod: dict[str, Any], name: ServiceName) -> int:
        service = f"{name.namespace}/{name.service}"
        owner = f"{name.hostname}.{name.service}" if name.hostname else name.service
        async with self._lock:
            port = self._port(f"{name.namespace}/{owner}/{name.port}")
            self._use(pod, service)
            self._save()
        return port

    async def service_address(self, pod: dict[str, Any], service: dict[str, Any]) -> tuple[str, dict[int, int]]:
        """The local address of a service with a cluster address, and the local port for each of its ports.

        The local port is a free one: a listener at the port of the service itself would block a program that
        listens on that port at all addresses.
        """
        key = _key(service)
        async with self._lock:
            book = self._use_address(pod, key)
            ports = {port: self._port(f"{key}/{port}") for port in _tcp_ports(service)}
            self._save()
            for port, local in ports.items():
                await self._listen(key, port, local, pod["spec"]["nodeName"])
        return book.services[key], ports

    async def _bare_address(self, pod: dict[str, Any], service: dict[str, Any]) -> str:
        """The address of a service that is named without a port: the node listens at its own ports."""
        key, node_name = _key(service), pod["spec"]["nodeName"]
        async with self._lock:
            book = self._use_address(pod, key)
            if key not in book.bare:
                book.bare.append(key)
            self._save()
            for port in _tcp_ports(service):
                try:
                    await self._listen(key, port, port, node_name)
                except OSError as error:
                    name = service["metadata"]["name"]
                    raise Untranslatable(
                        f'service "{name}" is named without a port, and this node cannot listen on port {port} of '
                        f"this machine ({error.strerror}); write the name with its port, {name}:{port}"
                    ) from error
        return book.services[key]

    def _use_address(self, pod: dict[str, Any], key: str) -> _Book:
        book = self._opened()
        if key not in book.services:
            taken = set(book.services.values())
            book.services[key] = next(address for address in map(self._host, SERVICE_HOSTS) if address not in taken)
        self._use(pod, key)
        return book

    async def _listen(self, key: str, port: int, local: int, node_name: str) -> None:
        namespace, name = key.split("/")
        address = self._opened().services[key]
        await self._proxy.listen(namespace, name, port, address=address, local_port=local, node_name=node_name)

    async def _listen_again(self, key: str, node_name: str) -> None:
        book = self._opened()
        namespace, name = key.split("/")
        try:
            service = (await self._services({namespace})).get(key)
            for port in _tcp_ports(service) if service else ():
                for local in [book.ports.get(f"{key}/{port}"), *([port] if key in book.bare else [])]:
                    if local is not None:
                        await self._listen(key, port, local, node_name)
        except (ApiError, OSError) as error:
            log.warning("cannot listen for service %s of namespace %s: %s", name, namespace, error)

    async def _services(self, namespaces: set[str]) -> dict[str, dict[str, Any]]:
        found = {}
        for namespace in sorted(namespaces):
            for service in (await self._client.list(SERVICES, namespace))["items"]:
                found[_key(service)] = service
        return found

    def _api_server(self, name: ServiceName) -> str:
        address = api_server(self._client.config.server)
        return address[0] if name.port is None else f"{address[0]}:{address[1]}"

    def _port(self, key: str) -> int:
        book = self._opened()
        if key not in book.ports:
            book.ports[key] = self._reservations.take_port(seed=f"{self._path}/{key}", avoid=book.ports.values())
        return book.ports[key]

    def _use(self, pod: dict[str, Any], service: str) -> None:
        used = self._opened().users.setdefault(pod["metadata"]["uid"], [])
        if service not in used:
            used.append(service)

    def _sweep_soon(self) -> None:
        if self._sweeper is None or self._sweeper.done():
            self._sweeper = asyncio.create_task(self._sweep(), name="sweep of service addresses")

    async def _sweep(self) -> None:
        """Frees the addresses of services that no pod uses and that no longer exist."""
        async with self._lock:
            book = self._opened()
            used = {service for services in book.users.values() for service in services}
            idle = {_service_of(key) for key in [*book.ports, *book.services]} - used
            try:
                there = await self._services({service.split("/")[0] for service in idle})
            except ApiError as error:
                log.info("cannot free unused service addresses yet: %s", error)
                return
            for service in idle - there.keys():
                book.services.pop(service, None)
                book.bare = [each for each in book.bare if each != service]
                for key in [key for key in book.ports if _service_of(key) == service]:
                    self._reservations.drop_port(book.ports.pop(key))
                await self._proxy.stop(*service.split("/"))
            self._save()

    def _opened(self) -> _Book:
        if self._book is None:
            book = _Book(**(read_json(self._path) or {}))
            book.slice = self._reservations.take_slice(wanted=book.slice, seed=str(self._path))
            for key, port in book.ports.items():
                if not self._reservations.take(f"port/{port}"):
                    log.warning("another node has taken port %d of %s meanwhile", port, key)
            self._book = book
            self._save()
        return self._book

    def _host(self, number: int) -> str:
        return f"127.{self._opened().slice}.{number // 256}.{number % 256}"

    def _save(self) -> None:
        assert self._book is not None
        write_json(self._path, asdict(self._book))


def api_server(server: str) -> tuple[str, int]:
    """Host and port of an API server's URL."""
    parts = urlsplit(server)
    return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "https" else 80)


def _key(service: dict[str, Any]) -> str:
    return f"{service['metadata']['namespace']}/{service['metadata']['name']}"


def _tcp_ports(service: dict[str, Any]) -> list[int]:
    ports = service["spec"].get("ports") or []
    return [port["port"] for port in ports if port.get("protocol", "TCP") == "TCP"]


def _service_of(key: str) -> str:
    """`namespace/service` of a key of an allocation; the owner of a port may be `hostname.service`."""
    namespace, owner = key.split("/")[:2]
    return f"{namespace}/{owner.rpartition('.')[2]}"
