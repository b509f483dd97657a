"""A driver of many jobs at once: a row says what happens to a job and what must result. All rows run together.

One namespace, one operator, one watch of each kind. The driver acts as the users and as the kubelets.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kf_spawner.kube import Client, Informer, load_config
from kf_spawner.kube.resources import EVENTS, NAMESPACES, PODS, SERVICEACCOUNTS, SERVICES
from kf_spawner.tfjob.names import INDEX_LABEL, JOB_LABEL, TFJOBS, TYPE_LABEL
from tests.tfjob.builders import job

LIMIT = 120.0  # seconds for a step; all jobs do their steps at once
ENDED = ("Succeeded", "Failed")


@dataclass
class Row:
    """One row of the contract's table.

    The job: `replicas` by type, `policy` is its run policy, `spec` overrides parts of its spec. `steps`: see
    `JobDriver.run`. The result, where None allows anything: `state`, the last condition; `conditions`, each as (type,
    status, reason, message); `pods` and `services` by task, services as the pods unless given; `counts` by type as
    (active, succeeded, failed); `events`, some of the job's, as (type, reason, message); `recreated`: tasks of pods
    that were created a second time; `deleted`: the job is deleted; `check`: anything else. NAME and NS in texts are
    the job's name and namespace.
    """

    name: str
    replicas: dict[str, int | None]
    steps: str = ""
    policy: dict = field(default_factory=dict)
    restart: str | None = None
    spec: dict = field(default_factory=dict)
    container: dict = field(default_factory=dict)
    state: str | None = None
    conditions: list[tuple[str, str, str, str]] | None = None
    pods: set[str] | None = None
    services: set[str] | None = None
    counts: dict[str, tuple[int, int, int]] | None = None
    events: list[tuple[str, str, str]] = field(default_factory=list)
    recreated: set[str] = field(default_factory=set)
    deleted: bool = False
    check: Callable[["Snapshot"], object] | None = None

    def manifest(self) -> dict:
        manifest = job(self.name, run_policy=self.policy, restart=self.restart, **self.replicas)
        for spec in manifest["spec"]["tfReplicaSpecs"].values():
            spec["template"]["spec"]["schedulerName"] = (
                "nobody"  # else the scheduler adds events and conditions: there are no nodes
            )
            spec["template"]["spec"]["containers"][0].update(self.container)
        manifest["spec"].update(self.spec)
        del manifest["metadata"]["uid"], manifest["metadata"]["namespace"]
        return manifest


@dataclass
class Snapshot:
    """One job and its children and events, at one moment."""

    row: Row
    namespace: str
    job: dict | None
    pods: dict[str, dict]
    services: dict[str, dict]
    events: list[tuple[str, str, str]]
    pod_uids: dict[str, list[str]]  # by task, of all pods that it has had

    @property
    def status(self) -> dict:
        return (self.job or {}).get("status") or {}

    @property
    def conditions(self) -> list[dict]:
        return self.status.get("conditions") or []

    @property
    def state(self) -> str:
        return self.conditions[-1]["type"] if self.conditions else ""

    def tf_config(self, task: str) -> dict | None:
        env = self.pods[task]["spec"]["containers"][0].get("env") or []
        values = [entry["value"] for entry in env if entry["name"] == "TF_CONFIG"]
        return json.loads(values[0]) if values else None

    def differences(self) -> list[str]:
        """Where the job is not (yet) as the row says."""
        row, wrong = self.row, []

        def compare(what: str, wanted: object, found: object) -> None:
            if wanted != found:
                wrong.append(f"{what}: {found!r} instead of {wanted!r}")

        if row.deleted:
            compare("the job", None, self.job)  # the garbage collector deletes its children, which may take 30 s
            return wrong
        if row.state is not None:
            compare("state", row.state, self.state)
        if row.conditions is not None:
            found = [(c["type"], c["status"], c["reason"], c["message"]) for c in self.conditions]
            compare("conditions", [self._filled(entry) for entry in row.conditions], found)
        if row.pods is not None:
            compare("pods", row.pods, set(self.pods))
            compare("services", row.pods if row.services is None else row.services, set(self.services))
        if row.counts is not None:
            found = {
                kind: tuple(n.get(key, 0) for key in ("active", "succeeded", "failed"))
                for kind, n in self.status.get("replicaStatuses", {}).items()
            }
            compare("counts", row.counts, found)
        missing = [entry for entry in map(self._filled, row.events) if entry not in self.events]
        compare("missing events", [], missing)
        compare("created again", row.recreated, {task for task, uids in self.pod_uids.items() if len(uids) > 1})
        if row.check and not wrong:
            try:
                row.check(self)
            except (AssertionError, KeyError) as error:
                wrong.append(f"{type(error).__name__}: {error}")
        return wrong

    def _filled(self, entry: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(text.replace("NAME", self.row.name).replace("NS", self.namespace) for text in entry)


class JobDriver:
    """Use as an async context manager. `run` takes one row; many calls may run at once."""

    def __init__(self, kubeconfig: Path, namespace: str):
        self._kubeconfig, self.namespace = kubeconfig, namespace
        self._changed = asyncio.Event()
        self._pod_uids: dict[str, dict[str, list[str]]] = {}
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "JobDriver":
        self.client = await self._stack.enter_async_context(
            Client(load_config(self._kubeconfig), user_agent="job-driver")
        )
        # No user's namespace: an administrator allows jobs there.
        metadata = {"name": self.namespace, "labels": {"kf-spawner.io/tfjobs": "baseline"}}
        await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        kinds = [TFJOBS, PODS, SERVICES, EVENTS, SERVICEACCOUNTS]
        self._informers = {
            kind.plural: await self._stack.enter_async_context(
                Informer(self.client, kind, self.namespace, on_change=self._on_change)
            )
            for kind in kinds
        }
        await self.until(lambda: self._informers["serviceaccounts"].get(f"{self.namespace}/default"), "an account")
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    def _on_change(self, _key: str, _old: dict | None, new: dict | None) -> None:
        if new and new["kind"] == "Pod" and JOB_LABEL in new["metadata"].get("labels", {}):
            of_job = self._pod_uids.setdefault(new["metadata"]["labels"][JOB_LABEL], {})
            uids = of_job.setdefault(task_of(new), [])
            if new["metadata"]["uid"] not in uids:
                uids.append(new["metadata"]["uid"])
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, check: Callable[[], object], what: Callable[[], str] | str):
        deadline = time.monotonic() + LIMIT
        while not (found := check()):
            left = deadline - time.monotonic()
            assert left > 0, what() if callable(what) else f"{what} did not come"
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), min(left, 1))
        return found

    def snapshot(self, row: Row) -> Snapshot:
        def of_job(kind: str) -> dict[str, dict]:
            found = [
                o for o in self._informers[kind].items() if o["metadata"].get("labels", {}).get(JOB_LABEL) == row.name
            ]
            return {task_of(obj): obj for obj in found}

        events = [
            (event["type"], event["reason"], event["message"])
            for event in self._informers["events"].items()
            if event["involvedObject"]["kind"] == "TFJob" and event["involvedObject"]["name"] == row.name
        ]
        return Snapshot(
            row=row,
            namespace=self.namespace,
            job=self._informers["tfjobs"].get(f"{self.namespace}/{row.name}"),
            pods=of_job("pods"),
            services=of_job("services"),
            events=events,
            pod_uids=self._pod_uids.get(row.name, {}),
        )

    async def run(self, row: Row) -> None:
        """Creates the row's job, does its steps, and waits until the job is as the row says.

        Steps, with ";" between them: `worker-0 Running`, `worker-0 Failed 137`, `all Running`, `worker-0 restarts 2`,
        `worker-0 deleted`, `is Running` (waits for a state), `scale Worker 3`, `suspend`, `resume` (once all pods
        are gone), `without PS`.
        """
        await self.client.create(TFJOBS, row.manifest(), self.namespace)
        for step in filter(None, (step.strip() for step in row.steps.split(";"))):
            await self._step(row, step.split())
        await self.until(lambda: not self.snapshot(row).differences(), lambda: self.describe(row))

    def describe(self, row: Row) -> str:
        snapshot = self.snapshot(row)
        return "\n".join([f"{row.name}:", *snapshot.differences(), f"status: {json.dumps(snapshot.status)}"])

    async def _step(self, row: Row, words: list[str]) -> None:
        match words:
            case ["is", state]:
                await self.until(
                    lambda: self.snapshot(row).state == state, lambda: f"{self.describe(row)}: not {state}"
                )
            case ["suspend"]:
                await self._edit(row, {"runPolicy": {"suspend": True}})
            case ["resume"]:
                await self.until(lambda: not self.snapshot(row).pods, lambda: f"{self.describe(row)}: not suspended")
                await self._edit(row, {"runPolicy": {"suspend": False}})
            case ["scale", kind, count]:
                await self._edit(row, {"tfReplicaSpecs": {kind: {"replicas": int(count)}}})
            case ["without", kind]:
                await self._edit(row, {"tfReplicaSpecs": {kind: None}})
            case ["all", phase]:
                tasks = [f"{kind.lower()}-{i}" for kind, count in row.replicas.items() for i in range(count or 1)]
                for task in tasks:
                    await self._put(row, task, phase)
            case [task, "deleted"]:
                pod = await self._live_pod(row, task)
                await self.client.delete(PODS, pod["metadata"]["name"], self.namespace)
            case [task, "restarts", number]:
                await self._put(row, task, "Running", restarts=int(number))
            case [task, phase, *code]:
                await self._put(row, task, phase, code=int(code[0]) if code else None)

    async def _edit(self, row: Row, spec: dict) -> None:
        await self.client.patch(TFJOBS, row.name, {"spec": spec}, self.namespace)

    async def _live_pod(self, row: Row, task: str) -> dict:
        def live() -> dict | None:
            pod = self.snapshot(row).pods.get(task)
            if pod is None or pod["metadata"].get("deletionTimestamp") or pod["status"].get("phase") in ENDED:
                return None
            return pod

        return await self.until(live, lambda: f"{self.describe(row)}: no {task}")

    async def _put(self, row: Row, task: str, phase: str, *, code: int | None = None, restarts: int = 0) -> None:
        """Reports a phase as a kubelet does; returns once the watch has delivered it."""
        pod = await self._live_pod(row, task)
        state: dict = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        container = {"name": "tensorflow", "image": "tf", "imageID": "", "ready": False, "restartCount": restarts}
        status = {"phase": phase, "containerStatuses": [{**container, "state": state}]}
        patch = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self.client.patch(PODS, pod["metadata"]["name"], patch, self.namespace, subresource="status")

        def seen() -> bool:
            now = self.snapshot(row).pods.get(task)
            same = now is not None and now["metadata"]["uid"] == pod["metadata"]["uid"]
            return not same or now["status"].get("phase") == phase

        await self.until(seen, f"the change of {task}")


def task_of(child: dict) -> str:
    labels = child["metadata"]["labels"]
    return f"{labels[TYPE_LABEL]}-{labels[INDEX_LABEL]}"
