"""Follows endpoints' Services and pods on the API server, in all namespaces. Knows nothing of Traefik."""

import asyncio
import contextlib
from typing import Any

from kf_spawner.kube import Client, Informer
from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.serving import SELECTOR, Backends, backends


class Endpoints:
    """Use as an async context manager. While the API server is away, the newest known state stays."""

    def __init__(self, client: Client) -> None:
        options: dict[str, Any] = {"label_selector": SELECTOR, "keep": _keep, "on_change": self._forget}
        self._services = Informer(client, SERVICES, **options)
        self._pods = Informer(client, PODS, **options)
        self._backends: list[Backends] | None = None
        self._changes = 0
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Endpoints":
        await self._stack.enter_async_context(self._services)
        await self._stack.enter_async_context(self._pods)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    async def synced(self) -> None:
        """Returns once all endpoints are known."""
        await self._services.synced()
        await self._pods.synced()

    async def backends(self) -> list[Backends] | None:
        """The backends of all endpoints, by namespace and name; None until all are known."""
        if not (self._services.is_synced and self._pods.is_synced):
            return None
        if self._backends is not None:
            return self._backends
        seen = self._changes
        found = await asyncio.to_thread(backends, self._services.items(), self._pods.items())
        if self._changes == seen:
            self._backends = found
        return found

    def _forget(self, *_change: object) -> None:
        self._changes += 1
        self._backends = None


def _keep(obj: dict[str, Any]) -> dict[str, Any]:
    """The fields that backends need. The door does not keep a pod's environment, which may have secrets."""
    names = ("name", "namespace", "uid", "resourceVersion", "labels", "deletionTimestamp")
    metadata = {name: obj["metadata"][name] for name in names if name in obj["metadata"]}
    spec = {name: value for name, value in obj.get("spec", {}).items() if name == "selector"}
    status = {name: value for name, value in obj.get("status", {}).items() if name in ("podIP", "conditions")}
    return {"metadata": metadata, "spec": spec, "status": status}
