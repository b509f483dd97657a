"""One measurement: jobs are made, run, succeed and are deleted, by an operator or by the bare loop."""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from kf_spawner.kube import load_config
from kf_spawner.kube.paths import path_of
from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.tfjob.reconcile import decide

from .cluster import START_TIMEOUT, Cluster
from .loop import Loop, Request
from .observe import Observer
from .operators import Operator, Running
from .usage import Usage

REPLICAS = 4
LIMIT = "limit"
PATIENCE = 1800.0  # seconds for each part of a measurement
AUDIT_DELAY = 2.0  # the audit log is written each second
RESOURCES = {"Pod": PODS, "Service": SERVICES, "TFJob": TFJOBS}


@dataclass
class Figures:
    """Seconds, requests, CPU seconds and MB of one measurement."""

    who: str
    jobs: int
    created: float
    """From the first request to the last pod seen."""
    running: float
    """From the first request until every job's status (for the limit: every pod's) said Running."""
    succeeded: float
    """From the first pod that succeeded until every status said Succeeded."""
    deleted: float
    """From the first request to delete until no job, pod or service was left."""
    requests: float
    """To the API server, for a job."""
    cpu: float
    pss: float
    """Proportional set size, the most that was seen."""
    peak: float
    """Resident memory, the most there was."""
    by_kind: dict[str, int]
    """Requests for all jobs, by verb and resource."""


class Subject(Protocol):
    """What is measured."""

    name: str
    pid: int
    reports: tuple[str, int]
    """Whose state counts, and how many of them a job has."""

    async def create(self, jobs: list[dict]) -> None: ...
    async def delete(self, jobs: list[dict]) -> None: ...
    def check(self) -> None: ...


async def measure_operator(cluster: Cluster, operator: Operator, jobs: int, *, name: str) -> Figures:
    """With the operator freshly started and warm: a job was made and deleted before."""
    async with operator.running(cluster) as running, Loop(load_config(cluster.plane.admin_kubeconfig)) as loop:
        subject = _Operated(operator.name, running, loop)
        await _measure(cluster, subject, 1, namespace=f"{name}-warm-up")
        return await _measure(cluster, subject, jobs, namespace=name)


async def measure_limit(cluster: Cluster, jobs: int, *, name: str) -> Figures:
    async with _bare_loop(cluster) as subject:
        await _measure(cluster, subject, 1, namespace=f"{name}-warm-up")
        return await _measure(cluster, subject, jobs, namespace=name)


async def _measure(cluster: Cluster, subject: Subject, jobs: int, *, namespace: str) -> Figures:
    await cluster.make_namespace(namespace)
    manifests = [job_of(f"job-{number:04}", namespace) for number in range(jobs)]
    kind, each = subject.reports
    before = cluster.requests()
    async with (
        Observer(cluster.client, namespace, jobs=kind == "TFJob") as observer,
        Usage(subject.pid) as usage,
    ):

        async def seen(kind: str, state: str, count: int) -> float:
            return await _until(observer, cluster, subject, lambda: observer.seen(kind, state) >= count)

        began = time.monotonic()
        await subject.create(manifests)
        created = await seen("Pod", "", jobs * REPLICAS)
        running = await seen(kind, "Running", jobs * each)
        cluster.success(True)
        first = await seen("Pod", "Succeeded", 1)
        succeeded = await seen(kind, "Succeeded", jobs * each)
        cluster.success(False)
        deleting = time.monotonic()
        await subject.delete(manifests)
        gone = await _until(observer, cluster, subject, lambda: not any(observer.present.values()))
    await asyncio.sleep(AUDIT_DELAY)
    by_kind = cluster.requests() - before
    return Figures(
        who=subject.name,
        jobs=jobs,
        created=created - began,
        running=running - began,
        succeeded=succeeded - first,
        deleted=gone - deleting,
        requests=by_kind.total() / jobs,
        cpu=usage.cpu,
        pss=usage.pss,
        peak=usage.peak,
        by_kind=dict(by_kind.most_common()),
    )


async def _until(observer: Observer, cluster: Cluster, subject: Subject, check: Callable[[], bool]) -> float:
    """The moment at which `check` became true; raises if what it needs ends before."""
    waiting = asyncio.ensure_future(observer.until(check))
    async with asyncio.timeout(PATIENCE):
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=1.0)
            cluster.check()
            subject.check()
    return waiting.result()


class _Operated:
    """Jobs are made and deleted as users would; the operator does the rest."""

    reports = ("TFJob", 1)

    def __init__(self, name: str, running: Running, loop: Loop):
        self.name, self._running, self._loop = name, running, loop
        self.pid, self.check = running.process.pid, running.check

    async def create(self, jobs: list[dict]) -> None:
        await self._loop.send(map(_creation, jobs))

    async def delete(self, jobs: list[dict]) -> None:
        await self._loop.send(map(_deletion, jobs))


class _BareLoop:
    """The same pods and services, made and deleted by `loop.py` as a process."""

    name = LIMIT
    reports = ("Pod", REPLICAS)

    def __init__(self, process: asyncio.subprocess.Process, file: Path):
        self._process, self._file, self.pid = process, file, process.pid

    async def create(self, jobs: list[dict]) -> None:
        await self._send([_creation(child) for job in jobs for child in _children(job)])

    async def delete(self, jobs: list[dict]) -> None:
        await self._send([_deletion(child) for job in jobs for child in _children(job)])

    async def _send(self, requests: list[Request]) -> None:
        self._file.write_bytes(b"\n".join(f"{verb} {path} ".encode() + body for verb, path, body in requests))
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{self._file}\n".encode())
        async with asyncio.timeout(PATIENCE):
            answer = await self._process.stdout.readline()
        if answer != b"done\n":
            raise RuntimeError("the bare loop ended; what it said is above")

    def check(self) -> None:
        """It has done all when `create` or `delete` returned."""


@contextlib.asynccontextmanager
async def _bare_loop(cluster: Cluster) -> AsyncIterator[_BareLoop]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.scale.loop", cluster.operator_kubeconfig),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        start_new_session=True,
    )
    try:
        assert process.stdout
        async with asyncio.timeout(START_TIMEOUT):
            await process.stdout.readline()
        yield _BareLoop(process, cluster.folder / "requests")
    finally:
        process.kill()
        await process.wait()


def _creation(obj: dict) -> Request:
    return "POST", path_of(RESOURCES[obj["kind"]], obj["metadata"]["namespace"]), json.dumps(obj).encode()


def _deletion(obj: dict) -> Request:
    meta = obj["metadata"]
    options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
    return "DELETE", path_of(RESOURCES[obj["kind"]], meta["namespace"], meta["name"]), json.dumps(options).encode()


def job_of(name: str, namespace: str, *, workers: int = REPLICAS) -> dict:
    container = {"name": "tensorflow", "image": "tensorflow/tensorflow:2.21.0", "command": ["python", "/train.py"]}
    return {
        "apiVersion": TFJOBS.api_version,
        "kind": TFJOBS.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "tfReplicaSpecs": {"Worker": {"replicas": workers, "template": {"spec": {"containers": [container]}}}}
        },
    }


def _children(job: dict) -> list[dict]:
    """What our operator would make, but of no owner: with one that does not exist they would be collected."""
    plan = decide({**job, "metadata": {**job["metadata"], "uid": "none"}}, [], [], now=datetime.now(UTC))
    for child in plan.create:
        del child["metadata"]["ownerReferences"]
    return list(plan.create)
