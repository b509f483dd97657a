"""Starts the probes, waits for their results, and deletes them: the only module here that creates objects."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from kf_spawner.k8s import times
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import ApiError, Client, Forbidden, Invalid, NotFound, Unreachable
from kf_spawner.kube.resources import CLAIMS, EVENTS, NAMESPACES, PODS, STORAGECLASSES, VOLUMES

from . import api, probe
from .findings import Finding, warning
from .platform import finding
from .probe import Probe, ProbeResult
from .refusals import creation_trouble

PAUSE = 0.5
REMOVAL = 60.0
"""Seconds to wait for the end of what was deleted."""
ACCOUNT_WAIT = 30.0
"""Seconds until a new namespace must have its service account, without which no pod may be made."""
STALE = timedelta(hours=1)
"""Age from which a namespace of a doctor that was killed is removed by the next one."""


@dataclass(frozen=True)
class Patience:
    """How long to wait, in seconds: for a probe at all, and for something that is wrong to pass."""

    timeout: float
    trouble: float


class Prober:
    """Makes probes in one namespace. `now` is the API server's time; `leftovers` what could not be removed."""

    def __init__(self, client: Client, *, patience: Patience, now: Callable[[], datetime]):
        self._client, self._patience, self._now = client, patience, now
        self.run = f"kf-doctor-{secrets.token_hex(4)}"
        self.leftovers: list[Finding] = []
        self._made: set[tuple[Resource, str]] = set()

    @contextlib.asynccontextmanager
    async def place(self, existing: str = "") -> AsyncIterator[str]:
        """The namespace for probes: `existing`, or a new one that is deleted with all that is in it."""
        if existing:
            yield existing
            return
        await self._remove_stale()
        try:
            await self._create(NAMESPACES, probe.namespace(self.run))
            yield self.run
        finally:
            await self._remove(NAMESPACES, self.run)

    async def ask_all(self, questions: list[Probe], *, dns_pods: list[dict[str, Any]] | None) -> list[Finding]:
        """The findings of all probes, run at the same time. A fault of several pods is reported once."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.ask(each, dns_pods=dns_pods)) for each in questions]
        found: list[Finding] = []
        for question, task in zip(questions, tasks, strict=True):
            said = {item.check for item in found}
            if question.question == "image":
                said.discard("images")  # another image
            found += [item for item in task.result() if item.check not in said]
        return found

    async def ask(self, question: Probe, *, dns_pods: list[dict[str, Any]] | None) -> list[Finding]:
        """The probe's findings; it is deleted afterwards."""
        meta = question.pod["metadata"]
        check, what = "claim", f"Claims in namespace {meta['namespace']}"
        try:
            if question.claim is not None:
                await self._create(CLAIMS, question.claim)
            check, what = "pod", f"Pods like a user's server in namespace {meta['namespace']}"
            await self._create_pod(question.pod)
            return await self._wait(question, dns_pods)
        except ApiError as error:
            if isinstance(error, Forbidden | Invalid) or "webhook" in error.message:
                return [finding(creation_trouble(error.message, what=what, namespace=meta["namespace"]), check=check)]
            return api.no_answer(error.status, error.message)
        finally:
            await self._remove(PODS, meta["name"], meta["namespace"])
            if question.claim is not None:
                await self._remove_claim(meta["name"], meta["namespace"])

    async def _create(self, resource: Resource, obj: dict[str, Any]) -> None:
        """Creates it. Without an answer it may exist: then it is deleted, too."""
        name = obj["metadata"]["name"]
        self._made.add((resource, name))
        try:
            await self._client.create(resource, obj)
        except Unreachable:
            raise
        except ApiError:
            self._made.discard((resource, name))
            raise

    async def _create_pod(self, pod: dict[str, Any]) -> None:
        deadline = time.monotonic() + ACCOUNT_WAIT
        while True:
            try:
                await self._create(PODS, pod)
                return
            except Forbidden as error:
                if "serviceaccount" not in error.message or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(PAUSE)

    async def _wait(self, question: Probe, dns_pods: list[dict[str, Any]] | None) -> list[Finding]:
        began, wrong_since, wrong = time.monotonic(), 0.0, None
        while True:
            result = await self._look(question)
            found = probe.verdict(question, result, dns_pods=dns_pods)
            if found is not None:
                return found
            moment = time.monotonic()
            before, wrong = wrong, probe.obstacle(question, result)
            if wrong and (before is None or before.check != wrong.check):
                wrong_since = moment
            if wrong and moment - wrong_since >= self._patience.trouble:
                return [wrong]
            if moment - began >= self._patience.timeout:
                return [wrong or probe.too_late(question, result, timeout=self._patience.timeout)]
            await asyncio.sleep(PAUSE)

    async def _look(self, question: Probe) -> ProbeResult:
        meta = question.pod["metadata"]
        pod = await self._client.get(PODS, meta["name"], meta["namespace"])
        claim = None
        if question.claim is not None:
            claim = await self._client.get(CLAIMS, question.claim["metadata"]["name"], meta["namespace"])
        try:
            events = (await self._client.list(EVENTS, meta["namespace"]))["items"]
        except Forbidden:
            events = []
        return ProbeResult(pod=pod, claim=claim, events=events, now=self._now())

    async def _remove_claim(self, name: str, namespace: str) -> None:
        """Lets a probe's volume be deleted even if its class would keep it."""
        try:
            claim = await self._client.get(CLAIMS, name, namespace)
            volume = claim["spec"].get("volumeName")
        except ApiError:
            volume = None
        if volume:
            await self._release(volume, claim["spec"].get("storageClassName", ""))
        await self._remove(CLAIMS, name, namespace)
        if volume:
            await self._gone(VOLUMES, volume)

    async def _release(self, volume: str, storage_class: str) -> None:
        try:
            found = await self._client.get(VOLUMES, volume)
            if found["spec"].get("persistentVolumeReclaimPolicy") == "Retain":
                await self._client.patch(VOLUMES, volume, {"spec": {"persistentVolumeReclaimPolicy": "Delete"}})
        except ApiError as error:
            with contextlib.suppress(ApiError):
                classes = (await self._client.list(STORAGECLASSES))["items"]
                if any(c["metadata"]["name"] == storage_class and c["reclaimPolicy"] == "Retain" for c in classes):
                    self._left(VOLUMES, volume, None, error.message)

    async def _remove(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Deletes it, if we created it, and waits for its end; otherwise it is a leftover."""
        if (resource, name) not in self._made:
            return
        # Without a grace period: a node that is down would never report the end.
        grace_period = 0 if resource is PODS else None
        try:
            await self._client.delete(resource, name, namespace, grace_period=grace_period)
        except NotFound:
            return
        except ApiError as error:
            self._left(resource, name, namespace, str(error))
            return
        await self._gone(resource, name, namespace)

    async def _gone(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        deadline, found = time.monotonic() + REMOVAL, {}
        try:
            while time.monotonic() < deadline:
                found = await self._client.get(resource, name, namespace)
                await asyncio.sleep(PAUSE)
        except (NotFound, Forbidden):  # who may not look at volumes cannot wait for the end of one
            return
        except ApiError as error:
            self._left(resource, name, namespace, str(error))
            return
        if resource is VOLUMES and found.get("status", {}).get("phase") != "Failed":
            return  # a cloud takes minutes to delete a disk
        self._left(resource, name, namespace, f"it is still there after {REMOVAL:.0f} seconds")

    def _left(self, resource: Resource, name: str, namespace: str | None, why: str) -> None:
        where = f" --namespace {namespace}" if namespace else ""
        self.leftovers.append(
            warning(
                "leftovers",
                f"{resource.kind} {name}, which the doctor made, may still exist: {why}.",
                remedy="Delete it. If it stays, check its finalizers and its node.",
                command=f"kubectl delete {resource.kind.lower()} {name}{where}",
            )
        )

    async def _remove_stale(self) -> None:
        """Deletes what a killed doctor left."""
        with contextlib.suppress(ApiError):
            found = await self._client.list(NAMESPACES, label_selector=probe.SELECTOR)
            for item in found["items"]:
                if times.age(item, self._now()) > STALE:
                    await self._client.delete(NAMESPACES, item["metadata"]["name"], uid=item["metadata"]["uid"])
