"""Access to the Kubernetes API: which client, with whose rights, and in which namespace."""

import asyncio
from typing import Protocol

from kf_spawner.kube import Client, load_config


class NamespaceAccess(Protocol):
    """One namespace, and a client with the rights to act in it."""

    async def client(self) -> Client:
        """Raises ConfigError where no cluster is known."""
        ...

    @property
    def namespace(self) -> str: ...


class OwnAccess:
    """The process's own account and that account's namespace. Satisfies `NamespaceAccess`.

    One client serves all requests. It is opened at its first use, so that a server without a cluster can start.
    `timeout` is for one request, in seconds.
    """

    def __init__(self, kubeconfig: str | None = None, *, user_agent: str, timeout: float = 30.0):
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
        """The account's namespace; known once the client is open."""
        assert self._client is not None, "ask for the client first"
        return self._client.config.namespace

    async def close(self) -> None:
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
            self._client = None
