"""Handlers of TFJobs: the collection, one job, its logs, its events and all of it as a stream."""

from kf_spawner.workloads.errors import RequestError
from kf_spawner.workloads.http import flag
from kf_spawner.workloads.wire import JobView

from .base import Handler, guarded, log_lines


class Jobs(Handler):
    @guarded
    async def get(self) -> None:
        views = await self.jobs.views()
        await self.answer_with(lambda: {"items": views})

    @guarded
    async def post(self) -> None:
        body = await self.manifest_or_json(limit=self.settings["kf_max_body"])
        self.answer(await self.jobs.create(body), status=201)


class Job(Handler):
    @guarded
    async def get(self, name: str) -> None:
        job = await self.jobs.get(name)
        await self.answer_with(lambda: job)

    @guarded
    async def delete(self, name: str) -> None:
        self.answer(await self.jobs.delete(name), status=202)


class JobEvents(Handler):
    @guarded
    async def get(self, name: str) -> None:
        events = await self.jobs.events(name)
        await self.answer_with(lambda: {"items": events})


class JobWatch(Handler):
    @guarded
    async def get(self, name: str) -> None:
        await self.stream(await self.jobs.follow(name, after=self.cursors()), heartbeat=self.heartbeat)


class JobLogs(Handler):
    @guarded
    async def get(self, name: str) -> None:
        follow = flag(self.get_query_argument("follow", None), field="follow")
        replica = self.get_query_argument("replica", None)
        if replica is not None:
            self._check_replica(await self.jobs.get(name), replica)
        logs = self.jobs.follow if follow else self.jobs.logs
        items = await logs(name, after=self.cursors())
        await self.stream(log_lines(items, replica), heartbeat=self.heartbeat)

    def _check_replica(self, view: JobView, replica: str) -> None:
        known = [f"{kind}-{index}" for kind, count in view["wanted"].items() for index in range(count)]
        if replica not in known:
            raise RequestError(
                404, "NotFound", f"the job has no replica {replica!r}: it has {', '.join(known)}", field="replica"
            )
