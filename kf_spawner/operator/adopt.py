"""Adopts and releases children by requests. May not decide which ones."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import Client, Conflict, EventRecorder, Forbidden, Invalid, NotFound
from kf_spawner.tfjob.names import KIND
from kf_spawner.tfjob.ownership import Adoption, is_estranged, is_orphan, is_ours, owner_reference
from kf_spawner.tfjob.ownership import adoption as adoption_of
from kf_spawner.tfjob.plan import Plan, Refusal

from .view import POD, POD_GROUP, SERVICE, View

log = logging.getLogger(__name__)

PAST = {"adopt": "Adopted", "release": "Released"}
Answer = dict[str, Any] | Refusal | None  # the child as it is now; why it was refused; None: it is gone


class Adopter:
    """`jobs`: the resource of jobs; `children`: those of their children, by kind.

    Each patch holds for the very state of the child that was decided about. Raises Conflict where that has passed, or
    where the job is no longer the one that was decided for.
    """

    def __init__(
        self, client: Client, recorder: EventRecorder, view: View, *, jobs: Resource, children: dict[str, Resource]
    ):
        self._client, self._recorder, self._view = client, recorder, view
        self._jobs, self._children = jobs, children

    async def carry_out(self, key: str, job: dict[str, Any], plan: Plan) -> dict[str, Refusal]:
        """The children that the API server refused to change, by name."""
        refusals: dict[str, Refusal] = {}
        if plan.adopt:
            await self._check(job)
            refusals |= await self._each(job, plan.adopt, self._adopt, self._view.wrote_child, key)
        if plan.release:
            refusals |= await self._each(job, plan.release, self._release, self._view.lost_child, key)
        return refusals

    async def _each(
        self,
        job: dict[str, Any],
        adoptions: Iterable[Adoption],
        act: Callable[[dict[str, Any], Adoption], Awaitable[Answer]],
        note: Callable[[str, str, dict[str, Any]], None],
        key: str,
    ) -> dict[str, Refusal]:
        answers = await asyncio.gather(*(act(job, adoption) for adoption in adoptions), return_exceptions=True)
        refusals = {}
        for adoption, answer in zip(adoptions, answers, strict=True):
            if isinstance(answer, Refusal):
                refusals[adoption.name] = answer
                log.warning("%s", answer.message, extra={"job": key})
            elif isinstance(answer, dict):
                note(key, adoption.kind, answer)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return refusals

    async def take(self, job: dict[str, Any], child: dict[str, Any], manifest: dict[str, Any]) -> Answer:
        """Makes `child`, which has the name of `manifest`, the job's own; None: it cannot be, or is gone."""
        kind = manifest["kind"]
        if kind == POD_GROUP:
            return await self._take_group(job, child, manifest)
        if is_orphan(child, job):  # the informer has not told of it yet
            await self._check(job)
            return await self._adopt(job, adoption_of(kind, child))
        if kind in (POD, SERVICE) and is_estranged(child, job):  # out of the informer's sight
            released = await self._release(job, adoption_of(kind, child))
            return released if isinstance(released, Refusal) else None
        return child if is_ours(child, job) else None

    async def _take_group(
        self, job: dict[str, Any], group: dict[str, Any], manifest: dict[str, Any]
    ) -> dict[str, Any] | None:
        """With labels: the original operator gave it none, and the informer would not bring it."""
        meta = group["metadata"]
        if is_orphan(group, job):
            await self._check(job)
            meta["ownerReferences"] = [*(meta.get("ownerReferences") or ()), *manifest["metadata"]["ownerReferences"]]
        elif not is_ours(group, job):
            return None
        meta.setdefault("labels", {}).update(manifest["metadata"]["labels"])
        return await self._client.replace(self._children[POD_GROUP], group)

    async def _release(self, job: dict[str, Any], adoption: Adoption) -> Answer:
        return await self._patch(job, adoption, "release", {"$patch": "delete", "uid": job["metadata"]["uid"]})

    async def _check(self, job: dict[str, Any]) -> None:
        """Asks the API server whether the job may still adopt: the cached job may be deleted by now."""
        meta = job["metadata"]
        try:
            now = (await self._client.get(self._jobs, meta["name"], meta["namespace"]))["metadata"]
        except NotFound as error:
            raise Conflict(409, "Conflict", f"the {KIND} {meta['name']} is gone") from error
        if now["uid"] != meta["uid"] or now.get("deletionTimestamp"):
            raise Conflict(409, "Conflict", f"the {KIND} {meta['name']} is another one, or being deleted")

    async def _adopt(self, job: dict[str, Any], adoption: Adoption) -> Answer:
        return await self._patch(
            job, adoption, "adopt", owner_reference(job["metadata"]["name"], job["metadata"]["uid"])
        )

    async def _patch(self, job: dict[str, Any], adoption: Adoption, verb: str, owner: dict[str, Any]) -> Answer:
        """Other owners stay: a strategic patch merges them by uid."""
        meta = {"uid": adoption.uid, "resourceVersion": adoption.version, "ownerReferences": [owner]}
        resource, namespace = self._children[adoption.kind], job["metadata"]["namespace"]
        what = adoption.kind.lower()
        try:
            child = await self._client.patch(resource, adoption.name, {"metadata": meta}, namespace, kind="strategic")
        except NotFound:
            return None
        except (Forbidden, Invalid) as error:
            whose = f"a {what} {adoption.name} exists that this job cannot {verb}"
            return Refusal(f"{whose}: {error.message}; allow it, or delete the {what}")
        reason = f"Successful{verb.title()}{adoption.kind}"
        self._recorder.event(job, "Normal", reason, f"{PAST[verb]} {what}: {adoption.name}")
        return child
