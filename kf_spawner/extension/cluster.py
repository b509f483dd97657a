"""The notebook server's way to the Kubernetes API: its own account and namespace, one client for all requests."""

import asyncio

from kf_spawner.kube import Client, load_config

USER_AGENT = "kf-spawner-extension"


class Cluster:
    """Opens the client at the first use, so that a notebook server without a cluster starts all the same."""

    def __init__(self, kubeconfig: str | None = None, *, timeout: float = 30.0):
        self._kubeconfig = kubeconfig
        self._timeout = timeout
        self._opening = asyncio.Lock()
        self._client: Client | None = None

    async def client(self) -> Client:
        """Raises ConfigError where no cluster is known."""
        async with self._opening:
            if self._client is None:
                config = load_config(self._kubeconfig)
                self._client = await Client(config, user_agent=USER_AGENT, timeout=self._timeout).__aenter__()
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
