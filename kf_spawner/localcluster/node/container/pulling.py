"""Pulls the image of a container, with the events and messages of a kubelet. Owns the back-off of the pull."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..common.restarts import Backoff
from ..image.store import ImageError, ImageStore

log = logging.getLogger(__name__)

PROGRESS_INTERVAL = 1.0

Event = Callable[[str, str, str], None]
Waiting = Callable[[str, str], Awaitable[None]]


class Puller:
    """Pulls for one container. `event(type, reason, message)`; `waiting(reason, message)` shows the reason."""

    def __init__(
        self, store: ImageStore, container: dict[str, Any], *, backoff: Backoff, event: Event, waiting: Waiting
    ):
        self._store = store
        self._reference = container["image"]
        self._policy = container.get("imagePullPolicy") or "IfNotPresent"
        self._backoff = backoff
        self._event = event
        self._waiting = waiting

    async def image(self) -> Any:
        """The image, once it is present; tries until it is."""
        while True:
            try:
                image = await self._once()
            except ImageError as error:
                await self._failed(error)
                continue
            self._backoff.reset()
            return image

    async def _once(self) -> Any:
        try:
            image = self._store.resolve(self._reference)
        except ImageError as error:
            if error.reason != "InvalidImageName":
                self._may_pull()
            raise
        present = await asyncio.to_thread(self._store.present, image)
        if present and self._policy != "Always":
            self._event("Normal", "Pulled", f'Container image "{self._reference}" already present on machine')
            return image
        self._may_pull()
        began = time.monotonic()
        await self._store.pull(image, progress=self._progress())
        seconds = time.monotonic() - began
        self._event("Normal", "Pulled", f'Successfully pulled image "{self._reference}" in {seconds:.3g}s')
        return image

    def _may_pull(self) -> None:
        """Reports the start of the pull; raises ImageError if the pod forbids it."""
        if self._policy == "Never":
            raise ImageError(
                "ErrImageNeverPull",
                f'Container image "{self._reference}" is not present with pull policy of Never',
            )
        self._event("Normal", "Pulling", f'Pulling image "{self._reference}"')

    def _progress(self) -> Callable[[str], None]:
        """Reports progress as events, one per second at most: each is a write to the API server."""
        last = 0.0

        def report(message: str) -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= PROGRESS_INTERVAL:
                last = now
                self._event("Normal", "Pulling", message)

        return report

    async def _failed(self, error: ImageError) -> None:
        log.warning("image %s: %s", self._reference, error.message)
        pause = self._backoff.after()
        message = error.message
        if error.reason == "InvalidImageName":
            message = f'Failed to apply default image tag "{self._reference}": {message}'
            self._event("Warning", "InspectFailed", message)
        elif error.reason == "ErrImageNeverPull":
            self._event("Warning", "ErrImageNeverPull", message)
        else:
            self._event("Warning", "Failed", f'Failed to pull image "{self._reference}": {message}')
        self._event("Warning", "Failed", f"Error: {error.reason}")
        await self._waiting(error.reason, message)
        if error.reason == "ErrImagePull":
            message = f'Back-off pulling image "{self._reference}"'
            self._event("Normal", "BackOff", message)
            self._event("Warning", "Failed", "Error: ImagePullBackOff")
            await self._waiting("ImagePullBackOff", f"{message}: ErrImagePull: {error.message}")
        await asyncio.sleep(pause)
