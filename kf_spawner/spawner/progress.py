"""The progress of one start of a server; any number of pages follow it as it grows."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any


class Progress:
    """Progress entries, oldest first, in the form that JupyterHub's progress API sends; `percent` is the newest's."""

    def __init__(self) -> None:
        self._entries: list[dict[str, Any]] = []
        self.percent = 0
        self._grown = asyncio.Event()

    def say(self, message: str, percent: int | None = None, *, event: dict[str, Any] | None = None) -> None:
        """Adds a sentence, plain text; the bar never goes back. The same sentence twice running is said once."""
        self.percent = max(self.percent, percent or 0)
        entry = {"progress": self.percent, "message": message}
        if event is not None:
            entry["raw_event"] = event
        if self._entries and self._entries[-1]["message"] == message:
            return
        self._entries.append(entry)
        self._grown.set()
        self._grown = asyncio.Event()

    async def follow(self) -> AsyncGenerator[dict[str, Any], None]:
        """Every entry so far and each further one, without end."""
        seen = 0
        while True:
            grown = self._grown
            for entry in self._entries[seen:]:
                yield entry
                seen += 1
            await grown.wait()
