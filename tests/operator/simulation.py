"""An API server in memory that fails on request, and the real controller with informers that lag behind.

Nothing runs by itself: a test delivers changes, lets the controller take its turns, and moves the clock.
"""

import asyncio
import copy
import itertools
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from kf_spawner.k8s import times
from kf_spawner.k8s.resources import Resource
from kf_spawner.kube import AlreadyExists, ApiError, Conflict, Forbidden, NotFound, Unreachable
from kf_spawner.kube.resources import CLAIMS, NODES, PODS, SERVICES
from kf_spawner.operator.controller import Controller
from kf_spawner.operator.metrics import Metrics
from kf_spawner.tfjob.names import INDEX_LABEL, KIND, TYPE_LABEL
from kf_spawner.tfjob.pods import node_of, phase
from kf_spawner.tfjob.status import is_finished

POD, SERVICE, NODE, CLAIM = PODS.kind, SERVICES.kind, NODES.kind, CLAIMS.kind
GRACE = 30
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LONG = 10_000


class Died(BaseException):
    """The operator's process was killed. The operator's code must not catch this."""


class Violation(BaseException):
    """Something forbidden happened. The controller continues after any error and must not hide this one."""


class Api:
    """Objects by kind and name, as the API server holds them, and everything that happened to them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict] = {}
        self.log: dict[str, list[tuple[str, dict | None]]] = {}
        self.moment = 0.0  # seconds since EPOCH
        self.refusal: type[ApiError] | None = None  # the answer to the creation of any pod, as with a quota
        self.refused: set[str] = set()  # owners of refused pods
        self.refuses: Callable[[dict], bool] = lambda _pod: True  # the pods that `refusal` is for
        self.keeps_owners = False  # whether a policy refuses each patch of a child's owners
        self.quota: dict[str, int] = {}  # by kind, how many objects there may be
        self._versions = itertools.count(1)

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.moment)

    def put(self, kind: str, obj: dict) -> dict:
        name = obj["metadata"]["name"]
        meta = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
        meta.setdefault("uid", f"{name}-{meta['resourceVersion']}")
        new = {**obj, "metadata": meta}
        self.objects[kind, name] = new
        self.log.setdefault(kind, []).append((name, new))
        return copy.deepcopy(new)

    def remove(self, kind: str, name: str) -> None:
        del self.objects[kind, name]
        self.log[kind].append((name, None))

    def terminate(self, kind: str, name: str, *, grace: int = GRACE) -> None:
        """A pod remains until its node ends it; any other object is removed at once."""
        held = self.objects[kind, name]
        if kind != POD or grace == 0:
            self.remove(kind, name)
        elif not held["metadata"].get("deletionTimestamp"):
            end = times.text(self.now() + timedelta(seconds=grace))
            meta = {**held["metadata"], "deletionTimestamp": end, "deletionGracePeriodSeconds": grace}
            self.put(POD, {**held, "metadata": meta})

    def set_ready(self, node: str, ready: bool) -> None:
        conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
        self.put(NODE, {"metadata": {"name": node}, "status": {"conditions": conditions}})

    def is_ready(self, node: str) -> bool:
        return self.objects[NODE, node]["status"]["conditions"][0]["status"] == "True"

    def end_terminating_pods(self) -> None:
        """Removes terminating pods, as the kubelets of ready nodes do."""
        for name, pod in self.of(POD).items():
            if pod["metadata"].get("deletionTimestamp") and (not node_of(pod) or self.is_ready(node_of(pod))):
                self.remove(POD, name)

    def of(self, kind: str) -> dict[str, dict]:
        return {name: obj for (of_kind, name), obj in self.objects.items() if of_kind == kind}

    def own(self, kind: str, obj: dict, owners: list[dict]) -> dict:
        return self.put(kind, {**obj, "metadata": {**obj["metadata"], "ownerReferences": owners}})

    def remove_with_orphans(self, job: dict) -> None:
        """`kubectl delete --cascade=orphan`."""
        for (kind, _), obj in list(self.objects.items()):
            if owner_of(obj) == job["metadata"]["uid"]:
                self.own(kind, obj, [])
        self.remove(KIND, job["metadata"]["name"])

    def owners_of(self, uid: str) -> set[str]:
        """Of a pod, all that it has ever had."""
        return {owner_of(pod) for _, pod in self.log[POD] if pod and pod["metadata"]["uid"] == uid}

    def collect_garbage(self) -> None:
        """Terminates what belongs to a job that is gone."""
        owners = {obj["metadata"]["uid"] for obj in self.of(KIND).values()}
        for (kind, name), obj in list(self.objects.items()):
            references = obj["metadata"].get("ownerReferences") or ()
            if references and not any(reference["uid"] in owners for reference in references):
                self.terminate(kind, name)

    def job_of(self, pod: dict) -> dict | None:
        job = self.objects.get((KIND, "mnist"))
        return job if job and job["metadata"]["uid"] == owner_of(pod) else None

    def check_creation(self, pod: dict) -> None:
        job = self.job_of(pod)
        if job and _memory(job, pod).get("succeeded"):
            raise Violation(f"{pod['metadata']['name']} has succeeded and is created again")

    def check_deletion(self, pod: dict) -> None:
        """A failed pod is the only record of its failure: it may be deleted only once the status records the failure.

        Or once the status records that the pod was dropped: a suspended job drops a failed pod that it adopts.
        """
        job = self.job_of(pod)
        if job is None or job["metadata"].get("edited") or is_finished(job.get("status") or {}):
            return
        memory = _memory(job, pod)
        if phase(pod) == "Failed" and pod["metadata"]["uid"] not in (memory.get("pod"), memory.get("dropped")):
            raise Violation(f"{pod['metadata']['name']} has failed, is deleted, and nothing remembers it")


def _memory(job: dict, pod: dict) -> dict:
    """What the job's status remembers of this pod's replica."""
    tasks = (job.get("status") or {}).get("tasks") or {}
    return tasks.get("-".join(map(str, task_of(pod)))) or {}


class SimulatedClient:
    """The verbs that the controller uses, for one process of it.

    `budget`: requests until that process dies. `lose`: the answer to that request is lost. `meanwhile`: what happens
    during that request. All count from 1; 0 is never. `most`: requests that were under way at the same time.
    """

    def __init__(self, api: Api):
        self.api = api
        self.requests = self.most = self._under_way = 0
        self.plan()

    def plan(
        self, *, budget: int | None = None, lose: int = 0, meanwhile: tuple[int, Callable[[], None]] | None = None
    ) -> None:
        self._number, self._budget, self._lose, self._meanwhile = 0, budget, lose, meanwhile

    async def _request(self) -> None:
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        await asyncio.sleep(0)  # requests of one turn overtake each other
        self._under_way -= 1
        self.requests += 1
        self._number += 1
        if self._budget is not None and self._number > self._budget:
            raise Died
        if self._meanwhile and self._meanwhile[0] == self._number:
            self._meanwhile[1]()

    def _answer(self, obj: dict) -> dict:
        if self._lose == self._number:
            raise Unreachable("the answer was lost")
        return obj

    def _held(self, resource: Resource, name: str) -> dict:
        found = self.api.objects.get((resource.kind, name))
        if found is None:
            raise NotFound(404, "NotFound", name)
        return found

    async def get(self, resource: Resource, name: str, _namespace: str | None = None) -> dict:
        await self._request()
        return self._answer(copy.deepcopy(self._held(resource, name)))

    async def create(self, resource: Resource, obj: dict) -> dict:
        await self._request()
        name = obj["metadata"]["name"]
        if len(self.api.of(resource.kind)) >= self.api.quota.get(resource.kind, LONG):  # admission comes first
            raise Forbidden(403, "Forbidden", f"exceeded quota of {resource.kind}s")
        if (resource.kind, name) in self.api.objects:
            raise AlreadyExists(409, "AlreadyExists", name)
        if resource == PODS:
            self.api.check_creation(obj)
            if self.api.refusal and self.api.refuses(obj):
                self.api.refused.add(owner_of(obj))
                raise self.api.refusal(403, "Refused", "no pods today")
        return self._answer(self.api.put(resource.kind, copy.deepcopy(obj)))

    async def replace(self, resource: Resource, obj: dict, *, subresource: str) -> dict:
        await self._request()
        held = self._held(resource, obj["metadata"]["name"])
        if subresource != "status":
            raise Violation("the operator writes nothing of a job but its status")
        if any(held["metadata"][name] != obj["metadata"][name] for name in ("uid", "resourceVersion")):
            raise Conflict(409, "Conflict", "the object has been modified")
        return self._answer(self.api.put(resource.kind, {**held, "status": copy.deepcopy(obj["status"])}))

    async def patch(self, resource: Resource, name: str, patch: dict, _namespace: str, *, kind: str) -> dict:
        """Of owners, all that the operator ever patches."""
        await self._request()
        held, meta = self._held(resource, name), patch["metadata"]
        if kind != "strategic" or meta.keys() != {"uid", "resourceVersion", "ownerReferences"}:
            raise Violation("the operator patches nothing but owners, and only of what it has looked at")
        if any(held["metadata"][field] != meta[field] for field in ("uid", "resourceVersion")):
            raise Conflict(409, "Conflict", "the object has been modified")
        if self.api.keeps_owners:
            raise Forbidden(403, "Forbidden", "no new owners today")
        if owner_of(held):
            raise Violation(f"{name} is somebody's, and is adopted")
        return self._answer(self.api.own(resource.kind, held, copy.deepcopy(meta["ownerReferences"])))

    async def delete(
        self, resource: Resource, name: str, _namespace: str, *, uid: str, grace_period: int | None = None
    ) -> dict:
        await self._request()
        held = self._held(resource, name)
        if held["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "another uid")
        if resource == PODS:
            self.api.check_deletion(held)
        self.api.terminate(resource.kind, name, grace=GRACE if grace_period is None else grace_period)
        return self._answer(copy.deepcopy(self.api.objects.get((resource.kind, name), {})))


class NoEvents:
    def event(self, *_args: object) -> None:
        """Nothing depends on events."""


class SlowClockLoop(asyncio.SelectorEventLoop):
    """Timers go by a clock that a test moves."""

    def __init__(self, api: Api):
        super().__init__()
        self._api = api

    def time(self) -> float:
        return self._api.moment


class Alarm(logging.Handler):
    """Any logged exception is a defect of the controller, even if it continues."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            raise Violation(record.getMessage()) from record.exc_info[1]


class SimulatedOperator:
    """The controller: its processes, one after another, the changes that each has seen, and its turns."""

    def __init__(self, api: Api):
        self.api = api
        self.loop = SlowClockLoop(api)
        self._alarm = Alarm(logging.ERROR)
        logging.getLogger(Controller.__module__).addHandler(self._alarm)
        self.start()

    def close(self) -> None:
        self.run(self.controller.stop())
        self.loop.close()
        logging.getLogger(Controller.__module__).removeHandler(self._alarm)

    def run(self, work):
        return self.loop.run_until_complete(work)

    def start(self) -> None:
        """A new process: it lists everything, and watches from there on."""
        self.client = SimulatedClient(self.api)
        self.controller = Controller(self.client, NoEvents(), Metrics(), clock=self.api.now)
        informers = {informer._resource.kind: informer for informer in self.controller._informers}
        self.on_change = {kind: informer._on_change for kind, informer in informers.items()}
        self.keep = {kind: informer._keep or dict for kind, informer in informers.items()}
        self.seen = dict.fromkeys(self.on_change, 0)
        self.cache: dict[str, dict[str, dict]] = {kind: {} for kind in self.on_change}
        for kind in self.on_change:
            self.relist(kind)

    # What it sees

    @property
    def kinds(self) -> list[str]:
        return list(self.on_change)

    def deliver(self, kind: str, count: int = LONG, *, twice: bool = False) -> None:
        """Brings up to `count` changes of `kind`, each of them a second time if told so."""
        for name, new in self.api.log.get(kind, [])[self.seen[kind] : self.seen[kind] + count]:
            self._see(kind, name, new, twice=twice)
            self.seen[kind] += 1

    def relist(self, kind: str) -> None:
        """The watch was too old: the informer lists again, and what happened in between it never learns."""
        current = self.api.of(kind)
        for name in self.cache[kind].keys() - current.keys():
            self._see(kind, name, None)
        for name, obj in current.items():
            self._see(kind, name, obj)
        self.seen[kind] = len(self.api.log.get(kind, []))

    def _see(self, kind: str, name: str, new: dict | None, *, twice: bool = False) -> None:
        old, new = self.cache[kind].pop(name, None), copy.deepcopy(new)
        if new is not None:
            new = self.cache[kind][name] = self.keep[kind](new)
        for _ in range(1 + twice):
            if old is not None or new is not None:
                self.on_change[kind](f"kf-admin/{name}", old, new)

    # What it does

    def take_turns(self, limit: int = 1, **faults) -> int:
        """Handles up to `limit` keys that are due; returns their number. A fault may kill the process."""
        self.client.plan(**faults)
        turns = 0
        try:
            while turns < limit and self.run(self._turn()):
                turns += 1
        except Died:
            self.die()
        except Violation as violation:
            raise AssertionError(str(violation)) from violation
        self.client.plan()
        return turns

    async def _turn(self) -> bool:
        await asyncio.sleep(0)  # timers that are due
        if not len(self.controller._queue):
            return False
        await self.controller._take_turn(await self.controller._queue.get())
        return True

    def die(self) -> None:
        """`kill -9`, and a new process."""
        self.client.plan(budget=0)
        pending = asyncio.all_tasks(self.loop)
        for task in pending:
            task.cancel()
        self.run(asyncio.wait(pending) if pending else asyncio.sleep(0))
        self.controller._queue.close()
        self.start()

    def pass_time(self, seconds: float) -> None:
        self.api.moment += seconds

    def sweep(self) -> None:
        """Looks for children that came and went unseen, as the controller does now and then."""
        for key in self.run(self.controller._applier.check_unseen()):
            self.controller._queue.add(key)

    def memory(self) -> dict[str, object]:
        """All that it remembers of jobs, by the name of the place; empty places are left out."""
        controller, queue = self.controller, self.controller._queue
        places = {
            "jobs": controller._view._jobs,
            "refusals": controller._refusals,
            "unseen": controller._applier._unseen,
            "ready": queue._ready,
            "wanted": queue._wanted,
            "running": queue._running,
            "timers": queue._timers,
            "failures": queue._failures,
        }
        return {name: place for name, place in places.items() if place}


def task_of(pod: dict) -> tuple[str, int]:
    labels = pod["metadata"]["labels"]
    return labels[TYPE_LABEL], int(labels[INDEX_LABEL])


def owner_of(child: dict) -> str:
    """Its controller's uid; empty if it has none."""
    return next((owner["uid"] for owner in child["metadata"].get("ownerReferences") or ()), "")
