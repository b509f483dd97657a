"""The dashboard's own REST interface; docs/dashboard.md has every path and shape."""

from typing import get_args

from kf_spawner.k8s.names import HOME_MOUNT
from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.http import flag
from kf_spawner.workloads.wire import CleanPodPolicy, FormMetadata, JobRow, ReplicaType, RestartPolicy, SuccessPolicy

from .. import job_detail
from ..sharing import Places
from .base import Handler, guarded

MAX_TAIL = 10_000


class User(Handler):
    @guarded
    async def get(self) -> None:
        self.answer(await self.service.user(self.caller))


class Form(Handler):
    @guarded
    async def get(self) -> None:
        choices = await self.service.choices(self.caller, self.get_query_argument("namespace", None) or None)
        offered: FormMetadata = {
            **choices,
            "home_mount": HOME_MOUNT,
            "images": self.settings["kf_images"],
            "replica_types": list(get_args(ReplicaType)),
            "restart_policies": list(get_args(RestartPolicy)),
            "clean_pod_policies": list(get_args(CleanPodPolicy)),
            "success_policies": list(get_args(SuccessPolicy)),
        }
        self.answer(offered)


class Jobs(Handler):
    @guarded
    async def get(self) -> None:
        states = frozenset(filter(None, self.get_query_argument("state", "").split(",")))
        part = self.get_query_argument("search", "").lower()
        jobs = await self.service.jobs(self.caller, self.get_query_argument("namespace", None) or None)

        def listed() -> dict[str, list[JobRow]]:
            rows = [row for row in job_detail.rows(jobs) if part in row["name"].lower()]
            return {"items": [row for row in rows if not states or row["state"] in states]}

        await self.answer_with(listed)

    @guarded
    async def post(self) -> None:
        body = await self.manifest_or_json(limit=self.max_body)
        if flag(self.get_query_argument("dry_run", None), field="dry_run"):
            job = await self.service.plan(self.caller, body)
            await self.answer_with(lambda: {"manifest": job, "yaml": job_detail.as_yaml(job)})
            return
        self.answer(job_detail.row(await self.service.create(self.caller, body)), status=201)


class Job(Handler):
    @guarded
    async def get(self, namespace: str, name: str) -> None:
        job, pods, events = await self.service.job_with_events(self.caller, namespace, name)
        await self.answer_with(job_detail.detail_of_lists, job, pods, events)

    @guarded
    async def patch(self, namespace: str, name: str) -> None:
        changes = await self.json_object(limit=self.max_body)
        self.answer(job_detail.row(await self.service.change(self.caller, namespace, name, changes)))

    @guarded
    async def delete(self, namespace: str, name: str) -> None:
        self.answer(await self.service.delete(self.caller, namespace, name), status=202)


class Stream(Handler):
    """Base of the handlers whose answers may last."""

    @property
    def places(self) -> Places:
        return self.service.streams


class Watch(Stream):
    @guarded
    async def get(self) -> None:
        items = await self.service.watch(self.caller, self.get_query_argument("namespace", None) or None)
        await self.stream(items, heartbeat=self.heartbeat)


class JobWatch(Stream):
    @guarded
    async def get(self, namespace: str, name: str) -> None:
        await self.stream(await self.service.follow(self.caller, namespace, name), heartbeat=self.heartbeat)


class JobLogs(Stream):
    @guarded
    async def get(self, namespace: str, name: str) -> None:
        lines = await self.service.logs(
            self.caller,
            namespace,
            name,
            replicas=self.get_query_arguments("replica"),
            follow=flag(self.get_query_argument("follow", None), field="follow"),
            tail=self._tail(),
            after=self.cursors(),
        )
        await self.stream(lines, heartbeat=self.heartbeat)

    def _tail(self) -> int | None:
        text = self.get_query_argument("tail", "")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 10 and 1 <= int(text) <= MAX_TAIL):
            raise RequestError(400, "BadRequest", f"is {text}: use a number of lines, 1 to {MAX_TAIL}", field="tail")
        return int(text)


class LogDownload(Stream):
    @guarded
    async def get(self, namespace: str, name: str, replica: str) -> None:
        pieces = await self.service.log_of(self.caller, namespace, name, replica)
        first = await anext(pieces, b"")  # so that an API error is answered before the file begins
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.set_header("Content-Disposition", f'attachment; filename="{name}-{replica}.log"')
        await self.pass_on(pieces, begin=first)


class Nothing(Handler):
    """Paths that do not exist."""

    @guarded
    async def prepare(self) -> None:
        raise RequestError(404, "NotFound", f"there is nothing at {self.request.path}")
