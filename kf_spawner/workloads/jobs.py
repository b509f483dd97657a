"""TFJobs of the server's namespace: list, get, create, delete, events, and the stream of one job.

Acts with the server's account through `kf_spawner.kube`. `kf_spawner.tfjob` defines and validates a job.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kf_spawner.kube import AlreadyExists, ApiError, ConfigError, NotFound
from kf_spawner.kube.resources import CONFIGMAPS, EVENTS, PODS
from kf_spawner.tfjob import names
from kf_spawner.tfjob.draft import Draft, checked
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.tfjob.program import from_program
from kf_spawner.wrong_input import FieldError, WrongInput

from . import preflight, submission
from .access import NamespaceAccess
from .errors import RequestError, is_unknown, wrong_input
from .job_view import awaits_volumes, event_view, events_about, job_selector, job_view, replica_name
from .log_cursor import Cursor
from .pod_logs import NameOf
from .streams import job_stream, read_pods
from .wire import Deletion, EventView, JobStreamItem, JobView, JobWithManifest, LogItem

WRITTEN_AS = {
    resource.api_version: resource
    for resource in (replace(TFJOBS, version=version) for version in (names.VERSION, *names.OLD_VERSIONS))
}
"""The resource to send a manifest to, by its apiVersion. The API server stores all of them as one kind."""


@dataclass(frozen=True)
class JobDefaults:
    """A program's defaults: the notebook's own image and home."""

    image: str | None
    claim: str | None
    mount: str | None = None


class Jobs:
    """Every method raises RequestError, or an ApiError of the Kubernetes API."""

    def __init__(self, cluster: NamespaceAccess, defaults: JobDefaults):
        self._cluster = cluster
        self._defaults = defaults

    async def views(self) -> list[JobView]:
        """The views of all jobs, the newest first."""
        client = await self._cluster.client()
        jobs = (await client.list(TFJOBS, self._cluster.namespace))["items"]
        pods = (await client.list(PODS, self._cluster.namespace, label_selector=names.JOB_LABEL))["items"]
        return await asyncio.to_thread(_views, jobs, pods)

    async def get(self, name: str) -> JobWithManifest:
        """The job's view, and its `manifest` as the API has it."""
        job = await self._job(name)
        client = await self._cluster.client()
        pods = (await client.list(PODS, self._cluster.namespace, label_selector=job_selector(name)))["items"]
        events = []
        if any(map(awaits_volumes, pods)):
            events = (await client.list(EVENTS, self._cluster.namespace))["items"]
        view = await asyncio.to_thread(job_view, job, pods, events)
        return {**view, "manifest": job}

    async def create(self, body: dict[str, Any]) -> JobView:
        """Creates a job from `{"program": options}` or from a TFJob manifest; all of it or nothing."""
        draft = await self.plan(await asyncio.to_thread(self._draft, body))
        return job_view(await self.store(draft), [])

    async def plan(self, draft: Draft) -> Draft:
        """The draft, checked by the cluster too. Creates nothing. Raises RequestError with every problem."""
        self._check_namespace(draft.job)
        missing: list[FieldError] = []
        wrong: list[FieldError] = []
        try:
            client, namespace = await self._cluster.client(), self._cluster.namespace
            resource = WRITTEN_AS[draft.job["apiVersion"]]
            missing = await preflight.missing_claims(client, draft.job, namespace=namespace)
            wrong = await preflight.wrong_templates(client, draft.job, namespace=namespace)
            # The API server would report again what we found, in its own words.
            fields = await preflight.wrong_fields(client, draft.job, resource=resource, namespace=namespace)
            wrong += [error for error in fields if not draft.errors or is_unknown(error)]
        except (ApiError, ConfigError):
            if not draft.errors:
                raise
        try:
            return draft.add([*missing, *wrong]).require_valid()
        except WrongInput as error:
            if draft.errors:
                raise wrong_input(error) from error
            reason = "Invalid" if wrong else "NoSuchVolume"
            raise wrong_input(error, status=422, reason=reason) from error

    async def store(self, draft: Draft) -> dict[str, Any]:
        """Creates what `plan` returned. Returns the job as the API has it."""
        client = await self._cluster.client()
        job = draft.job
        try:
            return await submission.create(
                client,
                namespace=self._cluster.namespace,
                owner=submission.Part(WRITTEN_AS[job["apiVersion"]], job),
                dependents=[submission.Part(CONFIGMAPS, draft.config_map)] if draft.config_map else [],
                strict=True,
            )
        except AlreadyExists as error:
            name = job["metadata"]["name"]
            raise RequestError(
                409,
                "NameInUse",
                f"a TFJob named {name!r} already exists: use another name, or delete it first (--replace does)",
                field="name",
                name=name,
            ) from error

    async def delete(self, name: str) -> Deletion:
        """Begins the deletion. The job stays visible, as `deleting`, until its replicas are gone."""
        client = await self._cluster.client()
        job = await self._job(name)
        with contextlib.suppress(NotFound):
            await client.delete(
                TFJOBS, name, self._cluster.namespace, propagation="Foreground", uid=job["metadata"]["uid"]
            )
        return {"name": name, "deleting": True}

    async def events(self, name: str) -> list[EventView]:
        """The events of the job and its replicas, the oldest first."""
        job = await self._job(name)
        client = await self._cluster.client()
        namespace = self._cluster.namespace
        pods = await client.list(PODS, namespace, label_selector=job_selector(name))
        found = (await client.list(EVENTS, namespace))["items"]
        return await asyncio.to_thread(_events, [job, *pods["items"]], found)

    async def follow(
        self,
        name: str,
        *,
        name_of: NameOf = replica_name,
        tail: int | None = None,
        after: Mapping[str, Cursor] | None = None,
    ) -> AsyncGenerator[JobStreamItem, None]:
        """See `streams.job_stream`, for a job that is there."""
        job = await self._job(name)
        return job_stream(
            await self._cluster.client(),
            namespace=self._cluster.namespace,
            name=name,
            uid=job["metadata"]["uid"],
            name_of=name_of,
            tail=tail,
            after=after,
        )

    async def logs(
        self,
        name: str,
        *,
        name_of: NameOf = replica_name,
        tail: int | None = None,
        after: Mapping[str, Cursor] | None = None,
    ) -> AsyncGenerator[LogItem, None]:
        """The logs of the job's replicas as they are now, one after the other; see `streams.read_pods`."""
        await self._job(name)
        return read_pods(
            await self._cluster.client(),
            namespace=self._cluster.namespace,
            selector=job_selector(name),
            name_of=name_of,
            container=names.CONTAINER,
            tail=tail,
            after=after,
        )

    async def sweep(self, *, older_than: float) -> int:
        """See `submission.sweep`: programs whose submission was interrupted."""
        client = await self._cluster.client()
        return await submission.sweep(
            client,
            namespace=self._cluster.namespace,
            resource=CONFIGMAPS,
            owner_resource=TFJOBS,
            older_than=older_than,
        )

    async def _job(self, name: str) -> dict[str, Any]:
        client = await self._cluster.client()
        try:
            return await client.get(TFJOBS, name, self._cluster.namespace)
        except NotFound as error:
            raise no_such_job(name, self._cluster.namespace) from error

    def _draft(self, body: dict[str, Any]) -> Draft:
        if "kind" in body:
            return draft_of_manifest(body)
        if "program" not in body:
            raise RequestError(
                400, "BadRequest", 'send a TFJob manifest (with "kind") or {"program": {…}}', field="body"
            )
        unknown = sorted(set(body) - {"program"})
        if unknown:
            raise RequestError(400, "BadRequest", f"{unknown[0]} is not an option beside program", field=unknown[0])
        options = body["program"]
        if not isinstance(options, dict):
            raise RequestError(400, "BadRequest", "program must be an object of options", field="program")
        return from_program(self._with_defaults(options), unique=secrets.token_hex(4))

    def _with_defaults(self, options: dict[str, Any]) -> dict[str, Any]:
        given = self._defaults
        defaults = {"image": given.image, "home_claim": given.claim, "home_mount": given.mount}
        return {**{key: value for key, value in defaults.items() if value}, **options}

    def _check_namespace(self, job: dict[str, Any]) -> None:
        own, wanted = self._cluster.namespace, job["metadata"].get("namespace")
        if wanted not in (None, own):
            raise RequestError(
                403,
                "OtherNamespace",
                f"is {wanted!r}: this server makes jobs in {own!r} only; leave the namespace out",
                field="metadata.namespace",
            )


def draft_of_manifest(body: dict[str, Any]) -> Draft:
    """Raises RequestError for what is not a TFJob at all."""
    if str(body.get("apiVersion")) not in WRITTEN_AS or body["kind"] != names.KIND:
        raise RequestError(
            400,
            "BadRequest",
            f"is {body.get('apiVersion')} {body['kind']}; here only {names.API_VERSION} {names.KIND} can be made",
            field="kind",
        )
    if not isinstance(body.get("metadata", {}), dict):
        raise RequestError(400, "BadRequest", "metadata must be an object with a name", field="metadata")
    job = {**body, "metadata": dict(body.get("metadata") or {})}
    job.pop("status", None)
    return checked(job)


def no_such_job(name: str, namespace: str) -> RequestError:
    return RequestError(
        404,
        "NotFound",
        f"there is no TFJob named {name!r} in {namespace}: list_tfjobs() lists them all",
        field="name",
    )


def _events(objects: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[EventView]:
    uids = {obj["metadata"]["uid"] for obj in objects}
    return [event_view(event) for event in events_about(uids, events)]


def _views(jobs: list[dict[str, Any]], pods: list[dict[str, Any]]) -> list[JobView]:
    of_job: dict[str, list[dict[str, Any]]] = {}
    for pod in pods:
        of_job.setdefault(pod["metadata"]["labels"][names.JOB_LABEL], []).append(pod)
    views = [job_view(job, of_job.get(job["metadata"]["name"], [])) for job in jobs]
    return sorted(views, key=lambda view: view["created"], reverse=True)
