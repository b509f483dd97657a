"""Writes the status of a pod to the API server, and removes a deleted pod from it.

It writes changes only, in order, and retries until they arrive. Knows nothing of how the status is computed.
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
    """`desired(written)` returns the wanted status. The writer calls `gone()` if the pod no longer exists.

    Once `hurry` is set (the node stops), it retries nothing.
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
        # The pod was already over: an earlier node has written its last status.
        self._silent = (state.pod.get("status") or {}).get("phase") in TERMINAL
        self._changed = asyncio.Event()
        self._writing = asyncio.Lock()
        self._written: dict[str, Any] = {}

    def changed(self) -> None:
        """Asks for a write of the status soon."""
        self._changed.set()

    async def run(self) -> None:
        """Writes changes until it is cancelled."""
        while not (self._is_gone or self._hurry.is_set()):
            await self._changed.wait()
            await self.insist()

    async def insist(self) -> None:
        """Writes the status; returns once it is written."""
        await self._until_done(self._write)

    async def publish(self) -> None:
        """Tries to write the status now; if that fails, `run` writes it later."""
        try:
            await self._write()
        except ApiError as error:
            log.warning("status of pod %s: %s", self._state, error)
            self._changed.set()

    async def confirm_deletion(self) -> None:
        """Removes the deleted pod from the API server, by its uid."""
        await self._until_done(self._delete)

    def forget(self) -> None:
        """The pod no longer exists: stops all writing."""
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
            # Is it another pod with this name, or did somebody write at the same time?
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
