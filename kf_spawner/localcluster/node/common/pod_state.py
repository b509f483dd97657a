"""The state of one pod that its worker and the runners of its containers share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class PodState:
    """`pod` is the newest from the API. `changed` asks for a write of the status soon, `publish` writes it now."""

    pod: dict[str, Any]
    changed: Callable[[], None]
    publish: Callable[[], Awaitable[None]]
    ip: str = ""
    volumes: dict[str, Path] = field(default_factory=dict)
    devices: dict[str, list[int]] = field(default_factory=dict)

    @property
    def uid(self) -> str:
        return str(self.pod["metadata"]["uid"])

    @property
    def namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def restart_policy(self) -> str:
        return str(self.pod["spec"].get("restartPolicy", "Always"))

    @property
    def grace_period(self) -> float:
        """Seconds from SIGTERM to SIGKILL."""
        seconds = self.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if seconds is None else float(seconds)

    def __str__(self) -> str:
        return f"{self.name}_{self.namespace}({self.uid})"
