"""An API server in memory that fails when told to, and an operator whose informers run behind."""

import asyncio
import copy
import itertools
from datetime import UTC, datetime, timedelta

from kf_spawner.kube import AlreadyExists, ApiError, Conflict, NotFound, Resource, Unreachable
from kf_spawner.operator.apply import Applier
from kf_spawner.operator.metrics import Metrics
from kf_spawner.operator.view import POD, SERVICE, View
from kf_spawner.tfjob.names import INDEX_LABEL, KIND, TYPE_LABEL
from kf_spawner.tfjob.plan import Plan
from kf_spawner.tfjob.pods import phase
from kf_spawner.tfjob.reconcile import decide

KEY = "kf-admin/mnist"


class Died(Exception):
    """The operator's process was killed."""


class Api:
    """Objects by kind and name, as the API server holds them, and everything that happened to them."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict] = {}
        self.log: dict[str, list[tuple[str, dict | None]]] = {KIND: [], POD: [], SERVICE: []}
        self._versions = itertools.count(1)
        self.done: set[str] = set()  # pods that the operator has seen succeed, and that are still wanted

    def put(self, kind: str, obj: dict) -> dict:
        name = obj["metadata"]["name"]
        meta = {**obj["metadata"], "resourceVersion": str(next(self._versions))}
        meta.setdefault("uid", f"{name}-{meta['resourceVersion']}")
        new = {**obj, "metadata": meta}
        self.objects[kind, name] = new
        self.log[kind].append((name, new))
        return copy.deepcopy(new)

    def remove(self, kind: str, name: str) -> None:
        del self.objects[kind, name]
        self.log[kind].append((name, None))

    def of(self, kind: str) -> dict[str, dict]:
        return {name: obj for (of_kind, name), obj in self.objects.items() if of_kind == kind}


class SimulatedClient:
    """The verbs that the operator uses. `budget`: requests until its process dies; `lose`: that answer is lost."""

    def __init__(self, api: Api):
        self.api = api
        self.budget = self.lose = -1

    def _request(self) -> None:
        if self.budget == 0:
            raise Died
        self.budget -= 1
        self.lose -= 1

    def _answer(self, obj: dict) -> dict:
        if self.lose == 0:
            raise Unreachable("the answer was lost")
        return obj

    async def get(self, resource: Resource, name: str, _namespace: str) -> dict:
        self._request()
        found = self.api.objects.get((resource.kind, name))
        if found is None:
            raise NotFound(404, "NotFound", name)
        return self._answer(copy.deepcopy(found))

    async def create(self, resource: Resource, obj: dict) -> dict:
        self._request()
        name = obj["metadata"]["name"]
        if (resource.kind, name) in self.api.objects:
            raise AlreadyExists(409, "AlreadyExists", name)
        assert resource.kind != POD or name not in self.api.done, f"{name} has succeeded and is made again"
        return self._answer(self.api.put(resource.kind, copy.deepcopy(obj)))

    async def replace(self, resource: Resource, obj: dict, *, subresource: str) -> dict:
        self._request()
        assert subresource == "status"
        held = self.api.objects.get((resource.kind, obj["metadata"]["name"]))
        if held is None:
            raise NotFound(404, "NotFound", obj["metadata"]["name"])
        if held["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "the object has been modified")
        return self._answer(self.api.put(resource.kind, {**held, "status": copy.deepcopy(obj["status"])}))

    async def delete(self, resource: Resource, name: str, _namespace: str, *, uid: str) -> dict:
        self._request()
        held = self.api.objects.get((resource.kind, name))
        if held is None:
            raise NotFound(404, "NotFound", name)
        if held["metadata"]["uid"] != uid:
            raise Conflict(409, "Conflict", "another uid")
        if resource.kind == POD:
            terminating = {**held["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}
            self.api.put(POD, {**held, "metadata": terminating})
        else:
            self.api.remove(resource.kind, name)
        return self._answer({})


class NoEvents:
    def event(self, *_args: object) -> None:
        """Events are a courtesy; nothing depends on them."""


class SimulatedOperator:
    """The operator's parts around an API in memory; what its informers have seen is moved on by hand."""

    def __init__(self, api: Api):
        self.api = api
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.client = SimulatedClient(api)
        self.start()

    def start(self) -> None:
        """A new process: it lists everything, and watches from there on."""
        self.view, self.refusals = View(), {}
        self.applier = Applier(self.client, NoEvents(), Metrics(), self.view, clock=lambda: self.now)
        self.client.budget = self.client.lose = -1
        self.seen: dict[str, int] = {}
        self.cache: dict[str, dict[str, dict]] = {kind: {} for kind in self.api.log}
        for kind in self.api.log:
            self.relist(kind)

    def deliver(self, kind: str, count: int) -> None:
        """Brings up to `count` changes of `kind`."""
        for name, new in self.api.log[kind][self.seen[kind] : self.seen[kind] + count]:
            self._see(kind, name, new)
            self.seen[kind] += 1

    def relist(self, kind: str) -> None:
        """The watch was too old: the informer lists again, and what happened in between it never learns."""
        current = self.api.of(kind)
        for name in self.cache[kind].keys() - current.keys():
            self._see(kind, name, None)
        for name, obj in current.items():
            self._see(kind, name, obj)
        self.seen[kind] = len(self.api.log[kind])

    def _see(self, kind: str, name: str, new: dict | None) -> None:
        old, new = self.cache[kind].pop(name, None), copy.deepcopy(new)
        if new is not None:
            self.cache[kind][name] = new
        if kind == KIND:
            self.view.see_job(KEY, old, new)
            return
        self.view.see_child(kind, old, new)
        if new is not None:
            self.applier.saw(new)

    def reconcile(self, *, budget: int = -1, lose: int = -1) -> Plan | None:
        """One turn, as the controller takes it; the process may die in it, or an answer be lost."""
        family = self.view.family(KEY)
        if family.job is None:
            return None
        self.client.budget, self.client.lose = budget, lose
        plan = decide(
            family.job,
            list(family.pods.values()),
            list(family.services.values()),
            now=self.now,
            refusals=self.refusals,
        )
        try:
            self.refusals = asyncio.run(self.applier.carry_out(KEY, family.job, plan))
        except Died:
            self.start()
            return None
        except ApiError:
            return None
        finally:
            self.client.budget = self.client.lose = -1
        self._note_done()
        return plan

    def _note_done(self) -> None:
        """After a whole turn: a replica that succeeded stays so, until the job is suspended or scaled below it."""
        family = self.view.family(KEY)
        specs = family.job["spec"]["tfReplicaSpecs"]
        wanted = {f"mnist-{kind.lower()}-{i}" for kind, spec in specs.items() for i in range(spec["replicas"])}
        ended = {name for name, pod in family.pods.items() if phase(pod) == "Succeeded"}
        suspended = family.job["spec"]["runPolicy"].get("suspend")
        self.api.done = set() if suspended else (self.api.done | ended) & wanted

    def sweep(self) -> None:
        asyncio.run(self.applier.check_unseen())

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def task_of(pod: dict) -> tuple[str, int]:
    labels = pod["metadata"]["labels"]
    return labels[TYPE_LABEL], int(labels[INDEX_LABEL])
