"""The way to the Kubernetes API: the process's own account, one client for all requests."""

import asyncio
from typing import Protocol

from kf_spawner.kube import Client, load_config

USER_AGENT = "kf-spawner-extension"


class Place(Protocol):
    """One namespace, and a client with the rights to act in it."""

    async def client(self) -> Client:
        """Raises ConfigError where no cluster is known."""
        ...

    @property
    def namespace(self) -> str: ...


class Cluster:
    """Opens the client at the first use, so that a server without a cluster starts all the same."""

    def __init__(self, kubeconfig: str | None = None, *, timeout: float = 30.0, user_agent: str = USER_AGENT):
        self._kubeconfig = kubeconfig
        self._timeout = timeout
        self._user_agent = user_agent
        self._opening = asyncio.Lock()
        self._client: Client | None = None

    async def client(self) -> Client:
        """Raises ConfigError where no cluster is known."""
        async with self._opening:
            if self._client is None:
                config = load_config(self._kubeconfig)
                self._client = await Client(config, user_agent=self._user_agent, timeout=self._timeout).__aenter__()
            return self._client

    @property
    def namespace(self) -> str:
        """The account's namespace; known once the client is."""
        assert self._client is not None, "ask for the client first"
        return self._client.config.namespace

    async def close(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None
