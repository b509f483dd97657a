"""Chooses the version that is served: watches the folder, loads new versions, unloads old ones.

Owns the versions' states. Knows neither HTTP nor TensorFlow: a loader makes a model of a folder. Runs on one event
loop; loading and closing happen in a thread of its own.

The rules: the highest complete version is served. A version is loaded only when its files have not changed for a
while. It is loaded before the old one is unloaded; the old one is unloaded when its last request has ended. A version
that cannot be loaded is reported and not tried again until its files change; the version before is still served. When
all versions vanish, the loaded one is kept. A folder that is overwritten in place is loaded again.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from .errors import ServingError, no_servable, no_version
from .versions import Version, find

log = logging.getLogger(__name__)


class Model(Protocol):
    """What a loader returns. `definitions`: its SignatureDefs by name."""

    definitions: dict[str, Any]

    def read(self, verb: str, body: bytes) -> Any: ...
    def of_examples(self, verb: str, signature_name: str, serialized: list[bytes]) -> Any: ...
    def predict(self, inputs: Any) -> Any: ...
    def predict_arrays(self, signature: str, arrays: dict[str, Any]) -> dict[str, Any]: ...
    def write(self, outputs: Any) -> bytes: ...
    def metadata(self) -> dict[str, Any]: ...
    def close(self) -> None: ...


class ModelUnavailableError(Exception):
    """Nothing can be served, and waiting does not help: the process should end and say why."""


@dataclass
class Servable:
    """A loaded version and how many requests use it."""

    version: Version
    model: Model
    uses: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True)
class State:
    """A version's state in TF Serving's words: START, LOADING, AVAILABLE, UNLOADING, END; and its status."""

    state: str
    code: str = "OK"
    message: str = ""


class ModelManager:
    """`run()` loads and unloads until it is cancelled; `use()` gives a request the model."""

    def __init__(
        self,
        *,
        name: str,
        base: Path,
        loader: Callable[[Path], Model],
        poll_interval: float = 1.0,
        wait_for_model: float = 60.0,
    ) -> None:
        """`poll_interval`: seconds between two checks; `wait_for_model`: seconds to wait for a first version."""
        self.name = name
        self._base = base
        self._loader = loader
        self._poll_interval = poll_interval
        self._wait_for_model = wait_for_model
        self.is_ending = False
        """Whether the process was told to stop. Requests are still served."""
        self._serving: Servable | None = None
        self._states: dict[int, State] = {}
        self._seen: dict[int, Version] = {}
        self._broken: dict[int, Version] = {}
        self._retiring: set[asyncio.Task[None]] = set()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model-loader")

    async def run(self) -> None:
        """Loads and unloads versions until cancelled. Raises `ModelUnavailableError` if there is nothing to serve."""
        give_up = time.monotonic() + self._wait_for_model
        while True:
            versions = await self._in_thread(find, self._base)
            await self._reconcile(versions)
            if self._serving is None:
                self._check_hope(versions, late=time.monotonic() > give_up)
            self._seen = {version.number: version for version in versions}
            await asyncio.sleep(self._poll_interval)

    async def close(self) -> None:
        """Waits for the requests that use a model, then frees all. Call after `run` was cancelled."""
        if self._serving is not None:
            self._retire(self._serving)
            self._serving = None
        await asyncio.gather(*self._retiring)
        self._thread.shutdown()

    @property
    def is_serving(self) -> bool:
        """Whether a version is loaded, and will be for a while."""
        return self._serving is not None and not self.is_ending

    @contextlib.contextmanager
    def use(self, version: int | None = None) -> Iterator[Servable]:
        """The loaded model, which stays loaded meanwhile. Raises `ServingError` if this version is not served."""
        servable = self._serving
        if servable is None or version not in (None, servable.version.number):
            raise no_servable(self.name, version)
        servable.uses += 1
        try:
            yield servable
        finally:
            servable.uses -= 1
            if servable.uses == 0:
                servable.idle.set()

    def states(self, version: int | None = None) -> dict[int, State]:
        """The state of each known version, highest first, or of one. Raises `ServingError` if there is none."""
        if version is None:
            if not self._states:
                raise no_version(self.name, None)
            return dict(sorted(self._states.items(), reverse=True))
        if version not in self._states:
            raise no_version(self.name, version)
        return {version: self._states[version]}

    async def _reconcile(self, versions: list[Version]) -> None:
        current = self._serving.version if self._serving else None
        self._forget(versions)
        for version in versions:
            if version == current:
                return
            if version == self._broken.get(version.number):
                if current and version.number == current.number:
                    return  # overwritten by something broken: keep the loaded model
                continue
            if not self._rests(version):
                self._states.setdefault(version.number, State("START"))
                if current and version.number == current.number:
                    return
                continue
            if await self._load(version) or (current and version.number == current.number):
                return

    def _rests(self, version: Version) -> bool:
        """Whether its files have not changed since the last check, or for longer than two checks."""
        rested = time.time() - version.changed_at
        return version == self._seen.get(version.number) or rested > 2 * self._poll_interval

    async def _load(self, version: Version) -> bool:
        number = version.number
        replaces_itself = self._serving is not None and self._serving.version.number == number
        if not replaces_itself:
            self._states[number] = State("LOADING")
        log.info("loading version %d of %s from %s", number, self.name, version.path)
        started = time.monotonic()
        try:
            model = await self._in_thread(self._loader, version.path)
        except ServingError as error:
            log.error("version %d of %s is not served: %s", number, self.name, error.message)
            self._broken[number] = version
            state = "AVAILABLE" if replaces_itself else "END"
            self._states[number] = State(state, error.code, error.message)
            return False
        old, self._serving = self._serving, Servable(version, model)
        self._broken.pop(number, None)
        overtaken = [n for n, state in self._states.items() if n < number and state == State("START")]
        for older in overtaken:
            del self._states[older]
        self._states[number] = State("AVAILABLE")
        log.info("version %d of %s is served; it took %.1f s", number, self.name, time.monotonic() - started)
        if old is not None:
            self._retire(old)
        return True

    def _retire(self, servable: Servable) -> None:
        if servable.version.number != (self._serving.version.number if self._serving else None):
            self._states[servable.version.number] = State("UNLOADING")
        task = asyncio.create_task(self._unload(servable))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _unload(self, servable: Servable) -> None:
        while servable.uses:
            servable.idle.clear()
            await servable.idle.wait()
        await self._in_thread(servable.model.close)
        number = servable.version.number
        if self._states.get(number) == State("UNLOADING"):
            self._states[number] = State("END")
        log.info("version %d of %s is unloaded", number, self.name)

    def _forget(self, versions: list[Version]) -> None:
        """Forgets versions that no longer exist, except the one that is served."""
        kept = {version.number for version in versions}
        if self._serving:
            kept.add(self._serving.version.number)
        for known in (self._states, self._broken):
            for number in [number for number in known if number not in kept]:
                del known[number]

    def _check_hope(self, versions: list[Version], *, late: bool) -> None:
        broken = [version for version in versions if version == self._broken.get(version.number)]
        if versions and len(broken) == len(versions):
            newest = versions[0]
            raise ModelUnavailableError(
                f"version {newest.number} of {self.name}: {self._states[newest.number].message}"
            )
        if not versions and late:
            raise ModelUnavailableError(
                f"{self._base} holds no SavedModel: neither saved_model.pb nor numbered folders that have one"
            )

    async def _in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)
