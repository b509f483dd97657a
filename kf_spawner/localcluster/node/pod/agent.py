"""Runs one worker for each pod that is bound to this node, and cleans up after earlier nodes.

It adopts the pods that an earlier node left and ends those that no longer exist in the API. Owns the workers and
the lock of the node; knows nothing of what a worker does.
"""

import asyncio
import contextlib
import fcntl
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

from kf_spawner.kube import Informer
from kf_spawner.kube.resources import PODS

from ..common import layout
from ..common.deadlines import cancel
from ..common.json_files import read_json
from ..common.restarts import Backoff
from ..container.context import Context
from ..volume.atomic_dir import remove_tree
from . import orphans
from .admission import shortage
from .worker import PodWorker

log = logging.getLogger(__name__)

ORPHAN_GRACE = 5.0
WORKER_FIRST = 1.0
WORKER_MOST = 60.0
LOCK_PATIENCE = 2.0
LOCK_INTERVAL = 0.05
STATUS_PATIENCE = 3.0


class AlreadyRunning(Exception):
    """Another node is using the same folder."""


@contextlib.asynccontextmanager
async def node_lock(root: Path) -> AsyncIterator[None]:
    """Makes this process the only node that uses `root`, until the process ends."""
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(layout.lock_file(root), "a") as file:
        deadline = asyncio.get_running_loop().time() + LOCK_PATIENCE
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                # A shim takes the lock for a moment to test it; only a node holds it for longer.
                if asyncio.get_running_loop().time() > deadline:
                    raise AlreadyRunning(
                        f"another node is running in {root}: stop it or choose another --root"
                    ) from None
            await asyncio.sleep(LOCK_INTERVAL)
        yield


class Agent:
    """Use as an async context manager. Its pods continue after it closes, unless `stop_pods()` ended them."""

    def __init__(self, context: Context, *, name: str, allocatable: dict[str, str]):
        self._context = context
        self._root = context.settings.root
        self._name = name
        self._allocatable = allocatable
        self._workers: dict[str, PodWorker] = {}  # by uid
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._adopted = False
        self._stopping = False
        self._informer = Informer(
            context.client, PODS, field_selector=f"spec.nodeName={name}", on_change=self._on_change
        )

    async def __aenter__(self) -> "Agent":
        await self._informer.__aenter__()
        try:
            await self._informer.synced()
            await self._context.addresses.adopt(self._informer.items())
        except BaseException:
            await self._informer.__aexit__(None, None, None)
            raise
        self._adopted = True
        pods = self._informer.items()
        for pod in sorted(pods, key=lambda pod: not layout.pod(self._root, pod["metadata"]["uid"]).exists()):
            self._take(pod)
        self._reap({pod["metadata"]["uid"] for pod in pods})
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._informer.__aexit__(None, None, None)
        await cancel(*self._tasks.values(), *self._chores)
        for worker in self._workers.values():
            worker.close()

    async def stop_pods(self) -> None:
        """Stops all pods, as when a machine shuts down; the next node restarts those that should run."""
        self._stopping = True
        for worker in self._workers.values():
            worker.stop()
        if self._tasks:
            patience = self._context.settings.stop_grace + STATUS_PATIENCE
            await asyncio.wait(list(self._tasks.values()), timeout=patience)
        await cancel(*self._tasks.values(), *self._chores)
        await orphans.end_pods(self._root, orphans.pods_on_disk(self._root), grace=0.0, interrupt=True)

    def worker(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of the pod with this name, or None if the pod is not on this node."""
        pod = self._informer.get(f"{namespace}/{name}")
        return self._workers.get(pod["metadata"]["uid"]) if pod else None

    def _on_change(self, _key: str, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if not self._adopted or self._stopping:
            return
        if old is not None and (new is None or new["metadata"]["uid"] != old["metadata"]["uid"]):
            worker = self._workers.get(old["metadata"]["uid"])
            if worker is not None:
                worker.removed()
        if new is not None:
            self._take(new)

    def _take(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        worker = self._workers.get(uid)
        if worker is not None:
            worker.update(pod)
            return
        worker = self._workers[uid] = PodWorker(self._context, pod)
        if not worker.known and not worker.over and not pod["metadata"].get("deletionTimestamp"):
            problem = shortage(pod, self._others(uid), self._allocatable)
            if problem:
                worker.reject(*problem)
        self._tasks[uid] = asyncio.create_task(self._keep(uid), name=f"pod {worker.state}")

    def _others(self, uid: str) -> Iterator[dict[str, Any]]:
        return (worker.state.pod for other, worker in self._workers.items() if other != uid and not worker.over)

    async def _keep(self, uid: str) -> None:
        """Runs the worker of a pod. After a bug in the worker, a new one continues from the files on disk."""
        retries = Backoff(initial=WORKER_FIRST, first=WORKER_FIRST, most=WORKER_MOST)
        while True:
            worker = self._workers[uid]
            try:
                await worker.run()
                break
            except Exception as error:
                log.exception("the worker of pod %s failed", worker.state)
                self._context.events.event(worker.state.pod, "Warning", "FailedSync", f"error of the node: {error}")
            await asyncio.sleep(retries.after())
            self._workers[uid] = worker.successor()
        del self._workers[uid], self._tasks[uid]

    # What an earlier node left behind

    def _reap(self, wanted: set[str]) -> None:
        for uid in orphans.pods_on_disk(self._root):
            if uid not in wanted:
                self._chore(self._end_orphan(uid))
        attempts = (runner.attempt for worker in self._workers.values() for runner in worker.runners)
        orphans.kill_strays([attempt for attempt in attempts if attempt and attempt.running])

    def _chore(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)

    def _chore_done(self, task: asyncio.Task[None]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("clean-up after an earlier node failed: %s", error, exc_info=error)

    async def _end_orphan(self, uid: str) -> None:
        """Ends the processes and removes the folder of a pod that no longer exists in the API."""
        log.info("pod %s no longer exists; removing its processes and files", uid)
        await orphans.end_pods(self._root, [uid], grace=ORPHAN_GRACE)
        pod = read_json(layout.pod_record(self._root, uid))
        if pod is not None:
            await self._context.volumes.cleanup(pod)
        self._context.devices.release(uid)
        await asyncio.to_thread(remove_tree, layout.pod(self._root, uid))
