"""What a worker says about its pod to the API server: the status, and that a deleted pod is gone.

Written only when it changed, in order, and as often as it takes; knows nothing of what the status is made from.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from kf_spawner.kube import ApiError, Client, Conflict, NotFound
from kf_spawner.kube.resources import PODS

from ..common.pod_state import PodState
from ..common.pod_status import TERMINAL, patch_of
from ..common.restarts import Backoff

log = logging.getLogger(__name__)

FIRST = 0.2
MOST = 10.0


class PodWriter:
    """`desired(written)` gives the status as it should be; `gone()` is called when the pod turns out to be gone.

    Once `hurry` is set (the node stops), nothing is tried twice any more.
    """

    def __init__(
        self,
        client: Client,
        state: PodState,
        *,
        desired: Callable[[dict[str, Any]], dict[str, Any]],
        gone: Callable[[], None],
        hurry: asyncio.Event,
    ):
        self._client = client
        self._state = state
        self._desired = desired
        self._tell_gone = gone
        self._hurry = hurry
        self._is_gone = False
        # A pod that was over when we first saw it: all was said by an earlier node.
        self._silent = (state.pod.get("status") or {}).get("phase") in TERMINAL
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written: dict[str, Any] = {}

    def changed(self) -> None:
        """The status is to be written soon."""
        self._changed.set()

    async def run(self) -> None:
        """Writes what changed until cancelled."""
        while not (self._is_gone or self._hurry.is_set()):
            await self._changed.wait()
            await self.insist()

    async def insist(self) -> None:
        """Returns once the status is written."""
        await self._until_done(self._write)

    async def publish(self) -> None:
        """Writes the status now if that can be; else `run` does it later."""
        try:
            await self._write()
        except ApiError as error:
            log.warning("status of pod %s: %s", self._state, error)
            self._changed.set()

    async def confirm_deletion(self) -> None:
        """Removes the deleted pod from the API server, that very one."""
        await self._until_done(self._delete)

    def forget(self) -> None:
        """The pod is gone: nothing is written any more."""
        self._is_gone = True

    async def _write(self) -> None:
        async with self._writing:
            self._changed.clear()
            if self._is_gone or self._silent:
                return
            desired = self._desired(self._written)
            patch = patch_of(desired, self._written)
            if not patch:
                return
            body = {"metadata": {"uid": self._state.uid}, "status": patch}
            await self._unless_gone(
                lambda: self._client.patch(
                    PODS, self._state.name, body, self._state.namespace, subresource="status", kind="strategic"
                )
            )
            self._written = desired

    async def _delete(self) -> None:
        if not self._is_gone:
            await self._unless_gone(
                lambda: self._client.delete(
                    PODS, self._state.name, self._state.namespace, grace_period=0, uid=self._state.uid
                )
            )

    async def _unless_gone(self, request: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        try:
            await request()
        except NotFound:
            self._found_gone()
        except Conflict:
            # Another pod of that name, or only somebody who wrote at the same time?
            if await self._still_there():
                raise
            self._found_gone()

    async def _still_there(self) -> bool:
        try:
            pod = await self._client.get(PODS, self._state.name, self._state.namespace)
        except NotFound:
            return False
        return bool(pod["metadata"]["uid"] == self._state.uid)

    def _found_gone(self) -> None:
        log.info("pod %s is gone", self._state)
        self._is_gone = True
        self._tell_gone()

    async def _until_done(self, write: Callable[[], Awaitable[None]]) -> None:
        pauses = Backoff(initial=FIRST, first=FIRST, most=MOST)
        while True:
            try:
                await write()
                return
            except ApiError as error:
                log.warning("pod %s: %s", self._state, error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pauses.after()):
                    await self._hurry.wait()
            if self._hurry.is_set() or self._is_gone:
                return
