"""Carries out a plan: status, children, events, each as requests. May not decide what to do."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeVar

from kf_spawner.k8s import times
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import AlreadyExists, ApiError, Client, Conflict, EventRecorder, Forbidden, Invalid, NotFound
from kf_spawner.kube.resources import CLAIMS, PODS, SERVICES
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.tfjob.ownership import is_labelled
from kf_spawner.tfjob.plan import Child, Event, Plan, Refusal
from kf_spawner.tfjob.podgroup import Gang
from kf_spawner.tfjob.validation import claim_choices, ephemeral_claims, within
from kf_spawner.wrong_input import FieldError

from .adopt import Adopter
from .metrics import Metrics
from .pace import Pace
from .view import CLAIM, POD, POD_GROUP, SERVICE, View

log = logging.getLogger(__name__)

A = TypeVar("A")
B = TypeVar("B")
CHILD_RESOURCES = {CLAIM: CLAIMS, SERVICE: SERVICES, POD: PODS}
UNSEEN_AFTER = timedelta(seconds=15)


class Outcome(NamedTuple):
    """The children that the API server refused, by name; `is_told`: the status is written where it had to be.

    `got_on`: a child was made, adopted, released or deleted, so what is left of a partial plan can follow at once.
    """

    refusals: dict[str, Refusal]
    is_told: bool = True
    got_on: bool = False


class Made(NamedTuple):
    """The children that the API server refused, by name; how many were made now, and how many are now known of."""

    refusals: dict[str, Refusal]
    new: int
    found: int


class Applier:
    """Puts every answer of the API server into the view at once, before an informer sees it."""

    def __init__(
        self,
        client: Client,
        recorder: EventRecorder,
        metrics: Metrics,
        view: View,
        *,
        clock: Callable[[], datetime],
        pace: Pace,
        gang: Gang | None = None,
        claim_classes: Collection[str] = (),
    ):
        self._client, self._recorder, self._metrics = client, recorder, metrics
        self._resources = {POD_GROUP: pod_groups_of(gang), **CHILD_RESOURCES} if gang else CHILD_RESOURCES
        self._view, self._clock, self._claim_classes = view, clock, claim_classes
        self._pace = pace
        self._adopter = Adopter(client, recorder, view, jobs=TFJOBS, children=self._resources)
        self._unseen: dict[str, tuple[str, str, dict[str, Any], datetime]] = {}

    async def carry_out(self, key: str, job: dict[str, Any], plan: Plan) -> Outcome:
        """Raises ApiError if a later try may succeed."""
        if plan.adopt or plan.release:
            refusals = await self._adopter.carry_out(key, job, plan)
            return Outcome(refusals, got_on=bool(plan.names - refusals.keys()))
        if _may_wait(job, plan):
            return await self._begin(key, job, plan)
        writing = self._write_status(key, job, plan)
        if plan.delete or plan.delete_job:
            await writing  # it remembers what a deletion makes invisible
            deleted = await self._each(lambda child: self._delete(key, job, child), plan.delete, key, plan)
            for result in deleted:
                if isinstance(result, BaseException):
                    raise result
            made = await self._make(key, job, plan)
        else:
            deleted = []
            making = asyncio.ensure_future(self._make(key, job, plan))
            written, _ = await asyncio.gather(writing, making, return_exceptions=True)
            if isinstance(written, BaseException):
                raise written
            made = making.result()
        if plan.delete_job:
            await self._delete_job(job)
        return Outcome(made.refusals, got_on=bool(made.new or made.found or any(deleted)))

    async def _begin(self, key: str, job: dict[str, Any], plan: Plan) -> Outcome:
        """Makes a new job's children first: once they are there, one status tells of the job and of them."""
        try:
            made = await self._make(key, job, plan)
        except ApiError:
            await self._write_status(key, job, plan)
            raise
        is_complete = made.new == len(plan.create)
        if not is_complete:
            await self._write_status(key, job, plan)
        return Outcome(made.refusals, is_told=not is_complete)

    def saw(self, child: dict[str, Any]) -> None:
        """The informer brought `child`: it will bring its end, too."""
        self._unseen.pop(child["metadata"]["uid"], None)

    async def check_unseen(self) -> list[str]:
        """Keys of jobs that had a child made which was out of the informer's sight before it saw it."""
        keys = []
        late = [uid for uid, entry in self._unseen.items() if entry[3] + UNSEEN_AFTER < self._clock()]
        for uid in late:
            key, kind, child, _ = self._unseen[uid]
            meta = child["metadata"]
            found = await self._find(kind, meta["name"], meta["namespace"], uid)
            if found is None or not is_labelled(found, key.partition("/")[2]):
                self._view.lost_child(key, kind, child)
                keys.append(key)
            self._unseen.pop(uid, None)
        return keys

    async def _write_status(self, key: str, job: dict[str, Any], plan: Plan) -> None:
        """With the resourceVersion that the plan was made from: an outdated plan is refused as a Conflict."""
        if plan.status is not None:
            names = ("name", "namespace", "uid", "resourceVersion")
            body = {
                "apiVersion": job["apiVersion"],
                "kind": job["kind"],
                "metadata": {name: job["metadata"][name] for name in names},
                "spec": job.get("spec"),
                "status": plan.status,
            }
            try:
                self._view.wrote_job(key, await self._client.replace(TFJOBS, body, subresource="status"))
            except Invalid as error:  # what is stored is so far from the schema that events alone can tell
                self._tell_all(job, [*plan.events, Event("Warning", "TFJobStatusRefused", error.message)])
                raise
        self._tell_all(job, plan.events)
        for outcome in plan.counted:
            self._metrics.count(outcome, job["metadata"]["namespace"])

    async def _make(self, key: str, job: dict[str, Any], plan: Plan) -> Made:
        for obj in plan.replace:
            self._view.wrote_child(key, obj["kind"], await self._client.replace(self._resources[obj["kind"]], obj))
        return await self._create_all(key, job, plan)

    async def _create_all(self, key: str, job: dict[str, Any], plan: Plan) -> Made:
        """Makes claims and services before pods, so that a replica's address exists before another looks for it."""
        refusals: dict[str, Refusal] = {}
        new = found = 0
        for kind in self._resources:
            wave = [
                manifest
                for manifest in plan.create
                if manifest["kind"] == kind and not _needs(manifest) & refusals.keys()
            ]
            results = await self._each(lambda manifest: self._create(key, job, manifest), wave, key, plan)
            made = []
            for manifest, result in zip(wave, results, strict=True):
                name = manifest["metadata"]["name"]
                if isinstance(result, Refusal):
                    refusals[name] = result
                    self._recorder.event(
                        job, "Warning", f"FailedCreate{kind}", f"Error creating {name}: {result.message}"
                    )
                elif isinstance(result, BaseException):
                    raise result
                elif result:
                    made.append(name)
                elif result is False and kind != CLAIM:  # a claim is found again at each try, and is no progress
                    found += 1
            self._tell(job, f"SuccessfulCreate{kind}", f"Created {kind.lower()}", made)
            new += len(made)
        return Made(refusals, new, found)

    async def _create(self, key: str, job: dict[str, Any], manifest: dict[str, Any]) -> Refusal | bool | None:
        """True: created; False: it existed already; None: its namespace ends, and the job with it."""
        kind = manifest["kind"]
        if kind == CLAIM:  # a quota that is full would refuse it before the API server says that it exists
            existing = await self._find(kind, manifest["metadata"]["name"], job["metadata"]["namespace"])
            if existing is not None:
                return await self._take(key, job, manifest, existing)
        for problem in _wrong_claims(manifest, self._claim_classes):
            return Refusal(str(problem))
        try:
            child = await self._client.create(self._resources[kind], manifest)
        except AlreadyExists:
            existing = await self._find(kind, manifest["metadata"]["name"], job["metadata"]["namespace"])
            return await self._take(key, job, manifest, existing)
        except (Invalid, Forbidden) as error:
            if _is_namespace_ending(error):
                return None
            return Refusal(error.message, final=isinstance(error, Invalid))
        except NotFound as error:
            if kind == POD_GROUP and error.details.get("kind") != "namespaces":
                return Refusal(f"the cluster has no {manifest['apiVersion']}: install the gang scheduler's CRDs")
            return None
        child.setdefault("kind", kind)
        self._hold(key, kind, child)
        return True

    def _hold(self, key: str, kind: str, child: dict[str, Any]) -> None:
        if kind == CLAIM:
            return  # no decision depends on claims, so no informer watches them
        if not self._view.holds(key, kind, child):  # else the informer was faster than the answer
            self._unseen[child["metadata"]["uid"]] = (key, kind, child, self._clock())
        self._view.wrote_child(key, kind, child)

    async def _take(
        self, key: str, job: dict[str, Any], manifest: dict[str, Any], existing: dict[str, Any] | None
    ) -> Refusal | bool:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        if existing is None or existing["metadata"].get("deletionTimestamp"):
            return Refusal(f"the {kind.lower()} {name} of before is still being deleted")
        taken = await self._adopter.take(job, existing, manifest)
        if isinstance(taken, Refusal):
            return taken
        if taken is None:
            return Refusal(f"a {kind.lower()} {name} exists that is not this job's; delete it or rename the job")
        self._hold(key, kind, taken)
        return False

    async def _find(self, kind: str, name: str, namespace: str, uid: str | None = None) -> dict[str, Any] | None:
        try:
            found = await self._client.get(self._resources[kind], name, namespace)
        except NotFound:
            return None
        return found if uid in (None, found["metadata"]["uid"]) else None

    async def _delete(self, key: str, job: dict[str, Any], child: Child) -> bool:
        """Whether this ends the child. If not, it was gone or another one has its name: the informer will tell."""
        namespace = job["metadata"]["namespace"]
        resource = self._resources[child.kind]
        grace = 0 if child.force else None
        try:
            answer = await self._client.delete(resource, child.name, namespace, uid=child.uid, grace_period=grace)
        except (NotFound, Conflict):
            return False
        except ApiError as error:
            self._recorder.event(
                job, "Warning", f"FailedDelete{child.kind}", f"Error deleting {child.name}: {error.message}"
            )
            raise
        self._view.deleting_child(key, child.kind, child.name, child.uid, self._end_of(answer))
        self._tell(job, f"SuccessfulDelete{child.kind}", f"Deleted {child.kind.lower()}", [child.name])
        return True

    def _end_of(self, answer: dict[str, Any]) -> dict[str, Any]:
        """When, and how patiently, what was just deleted is to end: what its metadata say of it from now on."""
        meta = answer.get("metadata") or {}
        end = {"deletionTimestamp": times.text(self._clock())}
        return end | {
            name: meta[name] for name in ("deletionTimestamp", "deletionGracePeriodSeconds") if name in meta
        }

    async def _delete_job(self, job: dict[str, Any]) -> None:
        meta = job["metadata"]
        try:
            await self._client.delete(TFJOBS, meta["name"], meta["namespace"], uid=meta["uid"])
        except (NotFound, Conflict):
            log.debug("the job was gone already", extra={"job": f"{meta['namespace']}/{meta['name']}"})

    async def _each(
        self, act: Callable[[A], Awaitable[B]], items: Iterable[A], key: str, plan: Plan
    ) -> list[B | BaseException]:
        """What `act` returned or raised for each of `items`: all at once, those of a partial plan at their pace."""
        if plan.is_partial:
            return await self._pace.each(key, act, items)
        return await asyncio.gather(*map(act, items), return_exceptions=True)

    def _tell_all(self, job: dict[str, Any], events: Iterable[Event]) -> None:
        for event in events:
            self._recorder.event(job, *event)

    def _tell(self, job: dict[str, Any], reason: str, what: str, names: list[str]) -> None:
        """One event for all children of a kind: an event each would cost as many requests as the children."""
        if names:
            plural = "s" if len(names) > 1 else ""
            self._recorder.event(job, "Normal", reason, f"{what}{plural}: {', '.join(names)}")


def pod_groups_of(gang: Gang) -> Resource:
    group, _, version = gang.api_version.partition("/")
    return Resource(group, version, "podgroups", POD_GROUP)


def _may_wait(job: dict[str, Any], plan: Plan) -> bool:
    """Whether the plan only begins a job, as a whole, and its status remembers nothing that would be lost."""
    if plan.is_partial or job.get("status") or plan.status is None or plan.status.get("tasks"):
        return False
    return bool(plan.create) and not (plan.events or plan.replace or plan.delete or plan.delete_job)


def _needs(manifest: dict[str, Any]) -> set[str]:
    """Names of the claims and of the service without which a pod is not made."""
    if manifest["kind"] != POD:
        return set()
    volumes = manifest["spec"].get("volumes") or ()
    claims = {(volume.get("persistentVolumeClaim") or {}).get("claimName") for volume in volumes}
    return {manifest["metadata"]["name"], *filter(None, claims)}


def _wrong_claims(manifest: dict[str, Any], classes: Collection[str]) -> Iterator[FieldError]:
    """Problems with a claim that is to be made, or with those that Kubernetes would make for a pod."""
    if manifest["kind"] == CLAIM:
        yield from claim_choices(manifest, classes=classes)
    elif manifest["kind"] == POD:
        for field, claim in ephemeral_claims(manifest["spec"]):
            yield from within(f"spec.{field}", claim_choices(claim, classes=classes))


def _is_namespace_ending(error: ApiError) -> bool:
    causes = error.details.get("causes") or ()
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
