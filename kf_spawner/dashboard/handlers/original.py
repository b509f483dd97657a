"""The REST interface of Kubeflow's first TFJob dashboard, for scripts that were written for it.

It keeps the paths and shapes: jobs as the Kubernetes API gives them, a log as one JSON text. Two things are better:
errors have a status and a message, and a detail has the job's own pods, not all of the namespace's.
"""

import codecs
import json

from kf_spawner.tfjob.names import API_VERSION, KIND

from .base import Handler, guarded


class Jobs(Handler):
    @guarded
    async def get(self, namespace: str | None = None) -> None:
        jobs = await self.service.jobs(self.caller, namespace)
        listed = {"kind": f"{KIND}List", "apiVersion": API_VERSION, "metadata": {}, "items": jobs}
        await self.answer_with(lambda: listed)


class AllJobs(Jobs):
    @guarded
    async def post(self) -> None:
        self.answer(
            await self.service.create(self.caller, await self.manifest_or_json(limit=self.max_body)), status=201
        )


class Job(Handler):
    @guarded
    async def get(self, namespace: str, name: str) -> None:
        job, pods = await self.service.job_and_pods(self.caller, namespace, name)
        await self.answer_with(lambda: {"tfJob": job, "pods": pods})

    @guarded
    async def delete(self, namespace: str, name: str) -> None:
        await self.service.delete(self.caller, namespace, name)
        self.set_status(204)
        self.finish()


class Log(Handler):
    @guarded
    async def get(self, namespace: str, name: str) -> None:
        """One JSON text, written as it is read: a log may be large."""
        pieces = await self.service.pod_log(self.caller, namespace, name)
        first = await anext(pieces, b"")  # so that an API error is answered before the text begins
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")  # a piece may end within a character

        def within(piece: bytes, final: bool = False) -> str:
            return json.dumps(decoder.decode(piece, final))[1:-1]

        await self.pass_on(
            pieces, begin=f'"{within(first)}', end=lambda: f'{within(b"", final=True)}"', change=within
        )


class Namespaces(Handler):
    @guarded
    async def get(self) -> None:
        found = [{"metadata": {"name": entry["name"]}} for entry in await self.service.namespaces(self.caller)]
        self.answer({"kind": "NamespaceList", "apiVersion": "v1", "metadata": {}, "items": found})
