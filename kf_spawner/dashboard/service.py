"""The operations of a caller: list, read, create, change, delete and follow TFJobs of the allowed namespaces.

Every method raises RequestError, or an ApiError of the Kubernetes API. A namespace that the caller may not use looks
as if it did not exist.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from kf_spawner import __version__
from kf_spawner.kube import Client, NotFound
from kf_spawner.kube.resources import CLAIMS, EVENTS, PODS
from kf_spawner.tfjob.draft import Draft
from kf_spawner.tfjob.names import CONTAINER, TFJOBS
from kf_spawner.workloads.access import OwnAccess
from kf_spawner.workloads.container_log import container_status, has_started
from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.job_view import job_selector, replica_name
from kf_spawner.workloads.jobs import JobDefaults, Jobs, draft_of_manifest
from kf_spawner.workloads.log_cursor import Cursor
from kf_spawner.workloads.parsing import parse_manifest
from kf_spawner.workloads.wire import Claim, Deletion, LogStreamItem, NamespaceChoices, User, UserNamespace

from . import form, job_detail
from .caller import Caller, is_users
from .changes import patch_of
from .impersonation import ImpersonatedNamespace, NotSetUp, users_namespaces
from .list_watch import ListWatches
from .page_streams import detail_stream, log_stream
from .sharing import Places, Turns

MOST_REQUESTS = 32
MOST_STREAMS = 100
"""How many each user may have open at one time."""
SET_UP_POLL = 3.0  # seconds between two checks whether a user's namespace exists: there is nothing to watch
Items = AsyncGenerator[Mapping[str, Any], None]


class DashboardService:
    """The one object that all requests share."""

    def __init__(self, cluster: OwnAccess):
        self._cluster = cluster
        self.turns = Turns()
        self.requests = Places(MOST_REQUESTS, "requests")
        self.streams = Places(MOST_STREAMS, "streams")
        self.list_watches = ListWatches(self._watcher)

    async def _watcher(self, namespace: str | None) -> Client:
        return await (self._cluster.client() if namespace is None else self.access(namespace).client())

    def access(self, namespace: str) -> ImpersonatedNamespace:
        return ImpersonatedNamespace(self._cluster, namespace)

    async def user(self, caller: Caller) -> User:
        """Who the caller is, and the namespaces to choose from, the caller's own first."""
        own: UserNamespace = {"name": caller.namespace, "user": caller.name}
        others = await self.namespaces(caller)
        return {
            "name": caller.name,
            "admin": caller.admin,
            "namespace": caller.namespace,
            "ready": await self.access(caller.namespace).is_set_up(),
            "version": __version__,
            "namespaces": [own, *(entry for entry in others if entry["name"] != caller.namespace)],
        }

    async def namespaces(self, caller: Caller) -> list[UserNamespace]:
        """`{"name", "user"}` of each namespace that the caller may use."""
        if caller.admin:
            return await users_namespaces(await self._cluster.client())
        return [{"name": caller.namespace, "user": caller.name}]

    async def jobs(self, caller: Caller, namespace: str | None) -> list[dict[str, Any]]:
        """The jobs as the API has them: of one namespace, or all that the caller may see."""
        namespace = self._listed(caller, namespace)
        if namespace is None:
            found = (await (await self._cluster.client()).list(TFJOBS))["items"]
            return [job for job in found if is_users(job["metadata"]["namespace"])]
        access = self.access(namespace)
        try:
            async with access.explaining_not_set_up():
                jobs: list[dict[str, Any]] = (await (await access.client()).list(TFJOBS, namespace))["items"]
                return jobs
        except NotSetUp as error:
            if namespace == caller.namespace:
                return []
            raise no_such_namespace(namespace) from error

    async def watch(self, caller: Caller, namespace: str | None) -> Items:
        """The list and its changes; see `list_watch`."""
        namespace = self._listed(caller, namespace)
        if namespace is not None and not await self.access(namespace).is_set_up():
            if namespace != caller.namespace:
                raise no_such_namespace(namespace)
            return self._once_set_up(namespace)
        return self.list_watches.follow(namespace)

    async def _once_set_up(self, namespace: str) -> Items:
        """An empty list at once, and the namespace's jobs as soon as it exists."""
        yield {"type": "snapshot", "items": []}
        while not await self.access(namespace).is_set_up():  # noqa: ASYNC110 - the API lets us watch nothing there
            await asyncio.sleep(SET_UP_POLL)
        async with contextlib.aclosing(self.list_watches.follow(namespace)) as items:
            async for item in items:
                yield item

    def _listed(self, caller: Caller, namespace: str | None) -> str | None:
        """The namespace to list; None: all."""
        if namespace is None:
            return None if caller.admin else caller.namespace
        if not caller.may(namespace):
            raise no_such_namespace(namespace)
        return namespace

    async def job_with_events(
        self, caller: Caller, namespace: str, name: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
        """A job, its pods and all events of its namespace as the API has them."""
        job, pods = await self.job_and_pods(caller, namespace, name)
        client = await self.access(namespace).client()
        return job, pods, (await client.list(EVENTS, namespace))["items"]

    async def job_and_pods(
        self, caller: Caller, namespace: str, name: str
    ) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A job and its pods as the API has them."""
        async with self._job(caller, namespace, name) as client:
            job = await client.get(TFJOBS, name, namespace)
            pods = await client.list(PODS, namespace, label_selector=job_selector(name))
            return job, pods["items"]

    async def follow(self, caller: Caller, namespace: str, name: str) -> Items:
        """See `page_streams.detail_stream`."""
        async with self._job(caller, namespace, name) as client:
            job = await client.get(TFJOBS, name, namespace)
        uid, aside = job["metadata"]["uid"], partial(self.turns.run, caller.name)
        return detail_stream(client, namespace=namespace, name=name, uid=uid, aside=aside)

    async def plan(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """The job that `create` would create from the same body, after the same checks."""
        _, draft = await self._planned(caller, body)
        return draft.job

    async def create(self, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
        """Creates a job from `{"form": …}`, `{"yaml": text}` or a manifest; the job as the API has it."""
        access, draft = await self._planned(caller, body)
        try:
            async with access.explaining_not_set_up():
                return await self._jobs(access).store(draft)
        except RequestError as error:
            if error.reason != "NameInUse":
                raise
            message = f"a TFJob named {error.name!r} already exists: use another name, or delete it first"
            field = draft.fields.field_of("metadata.name")
            raise RequestError(409, "NameInUse", message, field=field, name=error.name) from error

    async def _planned(self, caller: Caller, body: dict[str, Any]) -> tuple[ImpersonatedNamespace, Draft]:
        draft = await self.turns.run(caller.name, _draft, body)
        namespace = draft.job["metadata"].get("namespace") or caller.namespace
        if not isinstance(namespace, str) or not caller.may(namespace):
            field = draft.fields.field_of("metadata.namespace")
            message = f"is {namespace!r}: you can make jobs in {caller.namespace}; leave it out"
            raise RequestError(403, "OtherNamespace", message, field=field)
        access = self.access(namespace)
        async with access.explaining_not_set_up():
            draft = await self._jobs(access).plan(draft)
        meta = draft.job["metadata"]
        job = {**draft.job, "metadata": {"name": meta["name"], "namespace": namespace, **meta}}
        return access, replace(draft, job=job)

    async def change(self, caller: Caller, namespace: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Suspends, resumes or scales the job, and returns it. The body is as in `changes.patch_of`."""
        async with self._job(caller, namespace, name) as client:
            job = await client.get(TFJOBS, name, namespace)
            patch = await self.turns.run(caller.name, patch_of, job, changes)
            return await client.patch(TFJOBS, name, patch, namespace) if patch else job

    async def delete(self, caller: Caller, namespace: str, name: str) -> Deletion:
        """Begins the deletion. The job exists until its pods are gone."""
        async with self._job(caller, namespace, name):
            answer = await self._jobs(self.access(namespace)).delete(name)
        return {**answer, "namespace": namespace}

    async def logs(
        self,
        caller: Caller,
        namespace: str,
        name: str,
        *,
        replicas: Sequence[str],
        follow: bool,
        tail: int | None,
        after: Mapping[str, Cursor],
    ) -> AsyncGenerator[LogStreamItem, None]:
        """The logs of these replicas, or of all where none is named; see `page_streams.log_stream`.

        A log continues after the line that `after` has for its pod's uid, or begins at most `tail` lines back.
        """
        job, pods = await self.job_and_pods(caller, namespace, name)
        known, chosen = job_detail.replica_names(job, pods), frozenset(replicas)
        if unknown := chosen.difference(known):
            raise no_such_replica(min(unknown), known)

        def name_of(pod: dict[str, Any]) -> str | None:
            found = replica_name(pod)
            return found if not chosen or found in chosen else None

        jobs = self._jobs(self.access(namespace))
        if follow:
            return log_stream(await jobs.follow(name, name_of=name_of, tail=tail, after=after))
        lines = await jobs.logs(name, name_of=name_of, tail=tail, after=after)
        return log_stream(lines, state=job_detail.row(job)["state"])

    async def log_of(self, caller: Caller, namespace: str, name: str, replica: str) -> AsyncGenerator[bytes, None]:
        """The whole log of one replica as it is now, in pieces."""
        _, pods = await self.job_and_pods(caller, namespace, name)
        found = [pod for pod in pods if replica_name(pod) == replica]
        if not found or not has_started(container_status(found[0], CONTAINER)):
            raise no_such_replica(replica, sorted(filter(None, map(replica_name, pods))))
        client = await self.access(namespace).client()
        return client.logs(namespace, found[0]["metadata"]["name"], CONTAINER)

    async def pod_log(self, caller: Caller, namespace: str, pod: str) -> AsyncGenerator[bytes, None]:
        """The whole log of a pod by its name, in pieces."""
        async with self._job(caller, namespace, pod, kind="pod") as client:
            await client.get(PODS, pod, namespace)
        return client.logs(namespace, pod)

    async def choices(self, caller: Caller, namespace: str | None) -> NamespaceChoices:
        """`ready`, and the volume claims that a job in this namespace can use."""
        namespace = namespace or caller.namespace
        if not caller.may(namespace):
            raise no_such_namespace(namespace)
        access = self.access(namespace)
        try:
            async with access.explaining_not_set_up():
                claims = (await (await access.client()).list(CLAIMS, namespace))["items"]
        except NotSetUp:
            return {"namespace": namespace, "ready": False, "claims": []}
        return {"namespace": namespace, "ready": True, "claims": [_claim(claim) for claim in claims]}

    def _jobs(self, access: ImpersonatedNamespace) -> Jobs:
        return Jobs(access, JobDefaults(image=None, claim=None))

    @contextlib.asynccontextmanager
    async def _job(self, caller: Caller, namespace: str, name: str, *, kind: str = "TFJob") -> AsyncIterator[Client]:
        """The client for requests about one object. One that the caller may not see looks missing."""
        missing = RequestError(404, "NotFound", f"there is no {kind} named {name!r} in {namespace}", field="name")
        if not caller.may(namespace):
            raise missing
        access = self.access(namespace)
        try:
            async with access.explaining_not_set_up():
                yield await access.client()
        except (NotFound, NotSetUp) as error:
            raise missing from error
        except RequestError as error:
            raise (missing if error.status == 404 else error) from error


def no_such_namespace(namespace: str) -> RequestError:
    return RequestError(404, "NotFound", f"there is no namespace {namespace!r} that you may use", field="namespace")


def no_such_replica(replica: str, known: Sequence[str]) -> RequestError:
    there = f"there are: {', '.join(known)}" if known else "there is none"
    return RequestError(404, "NotFound", f"there is no log of a replica {replica!r} now; {there}", field="replica")


def _draft(body: dict[str, Any]) -> Draft:
    """The job that a request's body asks for."""
    if "kind" in body:
        return draft_of_manifest(body)
    unknown = sorted(body.keys() - {"form", "yaml"})
    if unknown or len(body) != 1:
        message = 'send {"form": {…}}, {"yaml": "…"} or a TFJob manifest (with "kind")'
        raise RequestError(400, "BadRequest", message, field=unknown[0] if unknown else "body")
    if "yaml" in body:
        if not isinstance(body["yaml"], str):
            raise RequestError(400, "BadRequest", "must be a text", field="yaml")
        try:
            return draft_of_manifest(parse_manifest(body["yaml"]))
        except RequestError as error:
            raise RequestError(error.status, error.reason, error.message, field="yaml") from error
    if not isinstance(body["form"], dict):
        raise RequestError(400, "BadRequest", "must be an object", field="form")
    return form.draft(body["form"])


def _claim(claim: dict[str, Any]) -> Claim:
    size = ((claim.get("status") or {}).get("capacity") or claim["spec"]["resources"]["requests"]).get("storage", "")
    return {"name": claim["metadata"]["name"], "phase": (claim.get("status") or {}).get("phase", ""), "size": size}
