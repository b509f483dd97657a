"""Namespaces, each with the rights of its own notebook account: the process itself has few rights.

Owns the impersonation and explains the API's refusals: a namespace has no account before its first notebook server.
"""

import contextlib
from collections.abc import AsyncIterator

from kf_spawner.kube import Client, Forbidden, NotFound
from kf_spawner.kube.resources import NAMESPACES, SERVICEACCOUNTS
from kf_spawner.spawner.manifests import ACCOUNT, MANAGED, USER_ANNOTATION
from kf_spawner.workloads.access import OwnAccess
from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.wire import UserNamespace

USERS_NAMESPACES = ",".join(f"{key}={value}" for key, value in MANAGED.items())


class NotSetUp(RequestError):
    """The namespace or its account does not exist yet; the message says how to create it."""

    def __init__(self, namespace: str):
        super().__init__(
            409,
            "NoNamespace",
            f"the namespace {namespace} is not set up yet: start a notebook server once to set it up",
            field="namespace",
        )


class ImpersonatedNamespace:
    """One namespace with the rights of its account. Satisfies `NamespaceAccess`."""

    def __init__(self, cluster: OwnAccess, namespace: str):
        self._cluster = cluster
        self._namespace = namespace

    @property
    def namespace(self) -> str:
        return self._namespace

    async def client(self) -> Client:
        own = await self._cluster.client()
        return own.acting_as(f"system:serviceaccount:{self._namespace}:{ACCOUNT}")

    async def is_set_up(self) -> bool:
        """Whether the account with rights in this namespace exists."""
        try:
            await (await self._cluster.client()).get(SERVICEACCOUNTS, ACCOUNT, self._namespace)
        except NotFound:
            return False
        return True

    @contextlib.asynccontextmanager
    async def explaining_not_set_up(self) -> AsyncIterator[None]:
        """Turns the API's refusal into NotSetUp if that is the cause."""
        try:
            yield
        except (Forbidden, RequestError) as error:
            if error.status == 403 and not await self.is_set_up():
                raise NotSetUp(self._namespace) from error
            raise


async def users_namespaces(client: Client) -> list[UserNamespace]:
    """Every user's namespace, by user."""
    found = (await client.list(NAMESPACES, label_selector=USERS_NAMESPACES))["items"]
    users: list[UserNamespace] = [
        {"name": item["metadata"]["name"], "user": item["metadata"]["annotations"][USER_ANNOTATION]}
        for item in found
        if USER_ANNOTATION in (item["metadata"].get("annotations") or {})
    ]
    return sorted(users, key=lambda entry: entry["user"])
