"""Leader election by a Lease: of several operators one acts. Times in seconds."""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from kf_spawner.k8s import times
from kf_spawner.kube import AlreadyExists, ApiError, Client, Conflict, NotFound
from kf_spawner.kube.resources import LEASES

log = logging.getLogger(__name__)

LONGEST_POLL = 1.0  # seconds until a released Lease is noticed


class LeadershipLost(RuntimeError):
    """Another process may act now; this one must not."""


class NotLeading(ApiError):
    """A write was not sent: another process may have taken over."""

    def __init__(self) -> None:
        super().__init__(0, "NotLeading", "not sent: the lease of this process has run out")


def clock_of_machine() -> float:
    """A clock in seconds that also runs while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leader:
    """Holds the Lease `namespace/name` for `identity`.

    `duration`: a holder that has not renewed for so long, by our own clock since we saw it do so, has lost it. A
    holder renews every third of it, and gives up acting after two thirds without success: by `check`, which whoever
    writes calls before, it does so in the very moment, however late it learns of anything else.
    `client` should have connections of its own, so that a renewal waits for nobody's work, and a time-out of less
    than `duration`.
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        namespace: str,
        identity: str,
        duration: float = 15.0,
        clock: Callable[[], float] = clock_of_machine,
    ):
        self._client, self._clock = client, clock
        self._name, self._namespace, self._identity = name, namespace, identity
        self._duration = duration
        self._seen: tuple[str, float] = ("", 0.0)
        self._until = float("-inf")
        self._holding: asyncio.Task[None] | None = None

    @property
    def is_refused(self) -> bool:
        """Whether the API server does not know who we are."""
        return self._client.is_refused

    def check(self) -> None:
        """Raises NotLeading unless the Lease is surely ours at this moment."""
        if self._clock() > self._until:
            raise NotLeading

    async def acquire(self) -> None:
        """Returns once the Lease is ours; it is renewed from then on, until it is lost or released."""
        while not await self._try_once():  # noqa: ASYNC110 - what we wait for happens in other processes
            await asyncio.sleep(min(self._duration / 5, LONGEST_POLL) * random.uniform(0.8, 1.2))
        log.info("%s leads", self._identity)
        self._holding = asyncio.create_task(self._hold(), name="lease")

    async def lost(self) -> None:
        """Waits until this process no longer leads, and raises LeadershipLost."""
        assert self._holding is not None, "acquire comes first"
        await asyncio.shield(self._holding)

    async def release(self) -> None:
        """Lets another take over at once. Does nothing where the Lease is not ours."""
        if self._holding is None:
            return
        self._holding.cancel()
        await asyncio.wait([self._holding])
        self._until = float("-inf")
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] = {**lease["spec"], "holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(LEASES, lease)
        except ApiError as error:
            log.warning("the lease %s was not released: %s", self._name, error)

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(self._duration / 3)
            try:
                async with asyncio.timeout(max(self._until - self._clock(), 0.1)):
                    if not await self._renew():
                        raise LeadershipLost(f"another process took the lease {self._name}")
            except (ApiError, TimeoutError) as error:
                log.warning("the lease %s was not renewed: %s", self._name, error or "no answer in time")
                if self._clock() > self._until:
                    raise LeadershipLost(f"the lease {self._name} could not be renewed in time") from error

    async def _try_once(self) -> bool:
        asked = self._clock()
        try:
            try:
                lease = await self._client.get(LEASES, self._name, self._namespace)
            except NotFound:
                await self._client.create(LEASES, self._fresh())
                self._is_ours_since(asked)
                return True
            spec = lease.get("spec") or {}
            if not self._is_free(spec, lease["metadata"]["resourceVersion"]):
                return False
            transitions = (spec.get("leaseTransitions") or 0) + 1
            lease["spec"] = {**self._fresh()["spec"], "leaseTransitions": transitions}
            await self._client.replace(LEASES, lease)
            self._is_ours_since(asked)
            return True
        except (Conflict, AlreadyExists):
            return False
        except ApiError as error:
            log.warning("the lease %s cannot be acquired: %s", self._name, error)
            return False

    async def _renew(self) -> bool:
        asked = self._clock()
        lease = await self._client.get(LEASES, self._name, self._namespace)
        if lease["spec"].get("holderIdentity") != self._identity:
            return False
        lease["spec"]["renewTime"] = times.micro_text(datetime.now(UTC))
        try:
            await self._client.replace(LEASES, lease)
        except Conflict:
            return False
        self._is_ours_since(asked)
        return True

    def _is_ours_since(self, asked: float) -> None:
        """Others count from when they see our write, which is later than `asked`, when we began to write."""
        self._until = asked + self._duration * 2 / 3

    def _is_free(self, spec: dict[str, Any], version: str) -> bool:
        """Clocks of two machines differ: what counts is how long we have seen the Lease stay as it is."""
        if not spec.get("holderIdentity") or spec.get("holderIdentity") == self._identity:
            return True
        if self._seen[0] != version:
            self._seen = (version, self._clock())
            return False
        return self._clock() - self._seen[1] > (spec.get("leaseDurationSeconds") or self._duration)

    def _fresh(self) -> dict[str, Any]:
        now = times.micro_text(datetime.now(UTC))
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, round(self._duration)),
                "acquireTime": now,
                "renewTime": now,
            },
        }
