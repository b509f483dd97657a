"""A job with its pods and services in memory: the operator's decisions are applied to it at once, without errors."""

import itertools
from datetime import UTC, datetime, timedelta

from kf_spawner.k8s import times
from kf_spawner.tfjob.plan import Plan
from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.builders import job

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_uids = itertools.count(1)


class JobModel:
    """A job and its children; `step` decides once and applies the plan."""

    def __init__(self, job: dict, *, now: datetime = NOW):
        self.job, self.now = job, now
        self.pods: dict[str, dict] = {}
        self.services: dict[str, dict] = {}
        self.claims: dict[str, dict] = {}
        self.plan = Plan()
        self.deleted = False

    def step(self, **options) -> Plan:
        """Decides once and applies the plan, which it returns."""
        plan = self.plan = decide(
            self.job, list(self.pods.values()), list(self.services.values()), now=self.now, **options
        )
        if plan.status is not None:
            self.job = {**self.job, "status": plan.status}
        for manifest in plan.create:
            name, kind = manifest["metadata"]["name"], manifest["kind"]
            if kind == "PersistentVolumeClaim":
                self.claims.setdefault(name, manifest)  # an existing claim is not an error
                continue
            held = self.pods if kind == "Pod" else self.services
            assert name not in held, f"{name} is created twice"
            held[name] = {**manifest, "metadata": {**manifest["metadata"], "uid": f"uid-{next(_uids)}"}}
        for child in plan.delete:
            held = self.pods if child.kind == "Pod" else self.services
            assert held.pop(child.name)["metadata"]["uid"] == child.uid
        self.deleted = self.deleted or plan.delete_job
        return plan

    def settle(self, **options) -> "JobModel":
        """Steps until a plan changes nothing."""
        for _ in range(10):
            plan = self.step(**options)
            if not (plan.create or plan.delete or plan.status):
                return self
        raise AssertionError("the job does not settle")

    def later(self, seconds: float) -> "JobModel":
        self.now += timedelta(seconds=seconds)
        return self

    def put(self, task: str, phase: str, *, code: int | None = None, restarts: int = 0, **status) -> "JobModel":
        """Gives the pod of `task` (such as worker-0) a phase, and its container an exit code."""
        pod = self.pods[f"{self.job['metadata']['name']}-{task}"]
        state = {"terminated": {"exitCode": code}} if code is not None else {"running": {}}
        containers = [{"name": "tensorflow", "restartCount": restarts, "state": state}]
        pod["status"] = {"phase": phase, "containerStatuses": containers, **status}
        return self

    def put_all(self, phase: str, **options) -> "JobModel":
        for name in self.pods:
            self.put(name.removeprefix(self.job["metadata"]["name"] + "-"), phase, **options)
        return self

    def terminate(self, task: str, *, grace: float = 0) -> "JobModel":
        """Deletes the pod with a grace period of `grace` seconds: it is terminating from now on."""
        meta = self.pods[f"{self.job['metadata']['name']}-{task}"]["metadata"]
        meta["deletionTimestamp"] = times.text(self.now + timedelta(seconds=grace))
        return self

    def bind(self, task: str, node: str) -> "JobModel":
        self.pods[f"{self.job['metadata']['name']}-{task}"]["spec"]["nodeName"] = node
        return self

    def remove(self, task: str) -> "JobModel":
        del self.pods[f"{self.job['metadata']['name']}-{task}"]
        return self

    @property
    def status(self) -> dict:
        return self.job.get("status") or {}

    @property
    def state(self) -> str:
        """What `kubectl get tfjob` shows."""
        return self.status["conditions"][-1]["type"]

    @property
    def true(self) -> set[str]:
        return {entry["type"] for entry in self.status.get("conditions", ()) if entry["status"] == "True"}

    def message(self, condition: str) -> str:
        return next(entry["message"] for entry in self.status["conditions"] if entry["type"] == condition)

    def counts(self, kind: str) -> tuple[int, int, int]:
        counts = self.status["replicaStatuses"][kind]
        return counts["active"], counts["succeeded"], counts["failed"]

    @property
    def tasks(self) -> set[str]:
        prefix = self.job["metadata"]["name"] + "-"
        return {name.removeprefix(prefix) for name in self.pods}


def started(spec: dict) -> JobModel:
    """A job whose pods all run."""
    return JobModel(spec).settle().put_all("Running").settle()


def running(**options) -> JobModel:
    """`started` with a job of `builders.job`: `running(Worker=2, restart="OnFailure")`."""
    return started(job(**options))


def suspend(model: JobModel, value: bool) -> JobModel:
    model.job["spec"].setdefault("runPolicy", {})["suspend"] = value
    return model
