"""TFJobs of one namespace, as a user hands them in, and what a test wants to see of them."""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kf_spawner.kube import ApiError, Client
from kf_spawner.kube.resources import CLAIMS, CONFIGMAPS, EVENTS, PODS, SERVICES
from kf_spawner.localcluster.node.process.identity import marked
from kf_spawner.tfjob.names import JOB_LABEL, TFJOBS
from kf_spawner.tfjob.program import from_program

EXAMPLES = Path(__file__).resolve().parents[2] / "kf_spawner" / "examples"
IMAGE = "tensorflow-2.21.0-notebook-cpu"
PATIENCE = 240.0  # a first run on a machine builds the image, and starting TensorFlow takes long on a busy one
QUICK = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}  # Keras 3 is a quarter of TensorFlow's start


async def eventually(check: Callable[[], Awaitable[Any]], what: str, *, timeout: float = PATIENCE) -> Any:
    """What `check` says once that is true; an error of the API counts as not yet."""
    deadline = time.monotonic() + timeout
    while True:
        found: Any = None
        with contextlib.suppress(ApiError):
            found = await check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        await asyncio.sleep(0.1)


@dataclass
class Log:
    """A replica's lines as they come, over the lives of all its pods. `lives` has one list for each pod."""

    name: str
    lives: dict[str, list[str]] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        return [line for life in self.lives.values() for line in life]

    def numbers(self, start: str) -> list[int]:
        """N of each line `<start> N`."""
        return [int(line.removeprefix(start).split()[0]) for line in self.lines if line.startswith(start + " ")]


class Jobs:
    """The jobs in `namespace`; `home_dir` is the product's home."""

    def __init__(self, client: Client, namespace: str, home_dir: Path):
        self.client, self.namespace, self._home_dir = client, namespace, home_dir
        self._logs: dict[str, tuple[Log, asyncio.Task[None]]] = {}

    @property
    def home(self) -> Path:
        """The user's home volume, as the programs see it."""
        return self._home_dir / "volumes" / self.namespace / "home"

    async def make_home(self) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        metadata = {"name": "home", "namespace": self.namespace}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
        await self.client.create(CLAIMS, claim)

    async def run(self, program: str, name: str, *, image: str = IMAGE, **options: Any) -> None:
        """Hands in an example program, as `TFJob.from_script` does."""
        source = (EXAMPLES / "training" / program).read_text()
        fixed = {"image": f"kf-spawner/{image}", "env": QUICK, "home_claim": "home"}
        draft = from_program({"name": name, "program": source, **fixed, **options}).require_valid()
        assert draft.config_map
        await self.client.create(CONFIGMAPS, draft.config_map, self.namespace)
        await self._submit(draft.job)

    async def apply(self, manifest: str) -> None:
        """Hands in an example manifest."""
        await self._submit(yaml.safe_load((EXAMPLES / manifest).read_text()))

    async def _submit(self, job: dict) -> None:
        await self.client.create(TFJOBS, job, self.namespace)
        for kind, replica in job["spec"]["tfReplicaSpecs"].items():
            for index in range(replica.get("replicas", 1)):
                self.follow(f"{job['metadata']['name']}-{kind.lower()}-{index}")

    async def get(self, name: str) -> dict:
        return await self.client.get(TFJOBS, name, self.namespace)

    async def patch(self, name: str, spec: dict) -> None:
        await self.client.patch(TFJOBS, name, {"spec": spec}, self.namespace)

    async def has(self, name: str, condition: str) -> dict:
        """The job once `condition` is True of it."""

        async def check() -> dict | None:
            job = await self.get(name)
            now = conditions(job)
            assert condition == "Failed" or now.get("Failed") != "True", job["status"]
            return job if now.get(condition) == "True" else None

        return await self._until(check, f"{name} is {condition}")

    async def succeeded(self, name: str) -> dict:
        """The job's status once it has succeeded and been cleaned up, and all logs are complete."""
        job = await self.has(name, "Succeeded")
        await self._until(lambda: self._is_quiet(name), f"{name} holds nothing that runs")
        for _, task in self._logs.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._logs.values()), return_exceptions=True)
        for log, _ in self._logs.values():
            await self._read(log)
        now = conditions(job)
        assert now.get("Running") == "False"
        assert "Failed" not in now
        assert job["status"]["completionTime"] >= job["status"]["startTime"]
        return job["status"]

    async def _is_quiet(self, name: str) -> bool:
        return not any(
            pod["status"]["phase"] not in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]
            for pod in await self.pods(name)
        )

    async def until_gone(self, name: str) -> None:
        """Returns once the job has neither pods nor services."""

        async def check() -> bool:
            return not (await self.pods(name) or await self.services(name))

        await self._until(check, f"{name} has no pods and services")

    async def pods(self, name: str) -> list[dict]:
        return (await self.client.list(PODS, self.namespace, label_selector=f"{JOB_LABEL}={name}"))["items"]

    async def services(self, name: str) -> list[dict]:
        return (await self.client.list(SERVICES, self.namespace, label_selector=f"{JOB_LABEL}={name}"))["items"]

    async def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of the job's events."""
        items = (await self.client.list(EVENTS, self.namespace))["items"]
        return [(item["reason"], item["message"]) for item in items if item["involvedObject"]["name"] == name]

    def log(self, replica: str) -> Log:
        return self._logs[replica][0]

    async def says(self, replica: str, words: str) -> None:
        """Returns once the replica has written a line that begins with `words`."""

        async def check() -> bool:
            return any(line.startswith(words) for line in self.log(replica).lines)

        await self._until(check, f"{replica} says {words!r}")

    async def running(self, replica: str) -> dict:
        """The replica's pod once it runs."""
        return await self._pod_in("Running", replica)

    async def ended(self, replica: str) -> dict:
        """The replica's pod once it has succeeded."""
        return await self._pod_in("Succeeded", replica)

    async def _pod_in(self, phase: str, replica: str) -> dict:
        async def check() -> dict | None:
            pod = await self.client.get(PODS, replica, self.namespace)
            return pod if pod["status"]["phase"] == phase else None

        return await self._until(check, f"{replica} is {phase}")

    async def signal(self, replica: str, number: int) -> None:
        """Sends a signal to the processes of the replica's container, from outside."""
        pod = await self.client.get(PODS, replica, self.namespace)
        pids = marked(f"{self._home_dir / 'node' / 'pods' / pod['metadata']['uid']}/")
        assert pids
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it went with another one of them
                os.kill(pid, number)

    def follow(self, replica: str) -> None:
        """Keeps what the replica writes, also of pods that are gone by the end."""
        log = Log(replica)
        self._logs[replica] = log, asyncio.create_task(self._follow(log), name=f"log of {replica}")

    async def _follow(self, log: Log) -> None:
        while True:
            await self._read(log, follow=True)
            await asyncio.sleep(0.2)

    async def _read(self, log: Log, *, follow: bool = False) -> None:
        """Reads the log of the replica's pod from its begin, to its end if `follow` is set."""
        with contextlib.suppress(ApiError):  # no pod, or it has not started yet
            pod = await self.client.get(PODS, log.name, self.namespace)
            life: list[str] = []
            async for line in self.client.log_lines(self.namespace, log.name, follow=follow):
                life.append(line.data.decode(errors="replace").rstrip())
                log.lives[pod["metadata"]["uid"]] = life

    async def _until(self, check: Callable[[], Awaitable[Any]], what: str) -> Any:
        try:
            return await eventually(check, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from error

    def story(self) -> str:
        """The last lines of all replicas, for who has to find out what went wrong."""
        return "\n".join(line for log, _ in self._logs.values() for line in [f"--- {log.name}", *log.lines[-30:]])

    async def close(self) -> None:
        for _, task in self._logs.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in self._logs.values()), return_exceptions=True)


def conditions(job: dict) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in (job.get("status") or {}).get("conditions") or ()}


def ended_at(pod: dict) -> str:
    return pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]
