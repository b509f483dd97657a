"""Handlers of model endpoints: the collection, one endpoint, its logs, and through the door its model: predictions,
signatures and versions."""

from tornado.httpclient import HTTPResponse

from kf_spawner.serving import DOOR_HEADER
from kf_spawner.workloads.http import flag

from .base import Handler, guarded, log_lines


class Endpoints(Handler):
    @guarded
    async def get(self) -> None:
        views = await self.endpoints.views()
        await self.answer_with(lambda: {"items": views})

    @guarded
    async def post(self) -> None:
        body = await self.json_object(limit=self.settings["kf_max_body"])
        self.answer(await self.endpoints.create(body), status=201)


class Endpoint(Handler):
    @guarded
    async def get(self, name: str) -> None:
        self.answer(await self.endpoints.get(name))

    @guarded
    async def patch(self, name: str) -> None:
        body = await self.json_object(limit=self.settings["kf_max_body"])
        self.answer(await self.endpoints.change(name, body))

    @guarded
    async def delete(self, name: str) -> None:
        self.answer(await self.endpoints.delete(name), status=202)


class EndpointLogs(Handler):
    @guarded
    async def get(self, name: str) -> None:
        follow = flag(self.get_query_argument("follow", None), field="follow")
        items = await self.endpoints.logs(name, follow=follow, after=self.cursors())
        await self.stream(log_lines(items), heartbeat=self.heartbeat)


class _OfModel(Handler):
    """Passes on what a model server answers."""

    def pass_on(self, answer: HTTPResponse) -> None:
        self.set_status(answer.code, answer.reason)
        self.set_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        if DOOR_HEADER in answer.headers:
            self.set_header(DOOR_HEADER, answer.headers[DOOR_HEADER])
        self.finish(answer.body or b"")


class EndpointPredict(_OfModel):
    @guarded
    async def post(self, name: str) -> None:
        body = self.body_of(limit=self.settings["kf_max_predict_body"])
        self.pass_on(await self.endpoints.predict(name, body))


class EndpointMetadata(_OfModel):
    @guarded
    async def get(self, name: str) -> None:
        self.pass_on(await self.endpoints.metadata(name))


class EndpointVersions(_OfModel):
    @guarded
    async def get(self, name: str) -> None:
        self.pass_on(await self.endpoints.versions(name))
