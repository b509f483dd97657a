"""Follows endpoints' Services and pods, and gives Traefik's configuration for them when it is asked for."""

import contextlib

from kf_spawner.kube import Client, Informer
from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.serving.names import SELECTOR
from kf_spawner.serving.routes import configuration


class Routes:
    """Use as an async context manager. `authorize_url` is the hub's handler that is asked about each request."""

    def __init__(self, client: Client, *, authorize_url: str, namespace: str | None = None):
        self._authorize_url = authorize_url
        self._services = Informer(client, SERVICES, namespace, label_selector=SELECTOR)
        self._pods = Informer(client, PODS, namespace, label_selector=SELECTOR)
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Routes":
        await self._stack.enter_async_context(self._services)
        await self._stack.enter_async_context(self._pods)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    @property
    def is_synced(self) -> bool:
        return self._services.is_synced and self._pods.is_synced

    def configuration(self) -> dict:
        return configuration(self._services.items(), self._pods.items(), authorize_url=self._authorize_url)
