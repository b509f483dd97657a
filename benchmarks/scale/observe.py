"""What a user would see of the jobs of one namespace, and when: one watch each for pods, services and jobs."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from kf_spawner.kube import Client, Informer
from kf_spawner.kube.resources import PODS, SERVICES
from kf_spawner.tfjob.names import TFJOBS


class Observer:
    """Use as an async context manager. Times are those of `time.monotonic`."""

    def __init__(self, client: Client, namespace: str, *, jobs: bool):
        """`jobs`: there is a CRD of TFJobs to watch."""
        self._seen: dict[str, dict[str, set[str]]] = {}
        """Kind -> state -> names of the objects that were ever seen in it."""
        self.present: dict[str, set[str]] = {"Pod": set(), "Service": set(), "TFJob": set()}
        self._waits: list[tuple[Callable[[], bool], asyncio.Future[float]]] = []
        self._stack = contextlib.AsyncExitStack()
        self._informers = [
            Informer(client, resource, namespace, on_change=self._changed)
            for resource in (PODS, SERVICES, *([TFJOBS] if jobs else []))
        ]
        self._kinds = {"TFJob": _conditions, "Pod": _phase, "Service": lambda _obj: ()}

    async def __aenter__(self) -> "Observer":
        for informer in self._informers:
            await self._stack.enter_async_context(informer)
            await informer.synced()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stack.aclose()

    def seen(self, kind: str, state: str) -> int:
        """How many objects of `kind` were ever seen in `state`; "" is any."""
        return len(self._seen.get(kind, {}).get(state, ()))

    async def until(self, check: Callable[[], bool]) -> float:
        """The moment at which `check` became true."""
        future = asyncio.get_running_loop().create_future()
        self._waits.append((check, future))
        self._answer()
        return await future

    def _changed(self, key: str, old: dict | None, new: dict | None) -> None:
        obj = new or old
        assert obj is not None
        kind = obj["kind"]
        if new is None:
            self.present[kind].discard(key)
        else:
            self.present[kind].add(key)
            for state in ("", *self._kinds[kind](new)):
                self._seen.setdefault(kind, {}).setdefault(state, set()).add(key)
        self._answer()

    def _answer(self) -> None:
        now = time.monotonic()
        for entry in [entry for entry in self._waits if entry[0]()]:
            self._waits.remove(entry)
            entry[1].set_result(now)


def _phase(pod: dict) -> list[str]:
    return [pod["status"]["phase"]] if "status" in pod else []


def _conditions(job: dict) -> list[str]:
    conditions = (job.get("status") or {}).get("conditions") or ()
    return [entry["type"] for entry in conditions if entry["status"] == "True"]
