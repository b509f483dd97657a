"""Decides whether a container that ended starts again, and when. Pure."""

from dataclasses import dataclass, field
from typing import Any

CRASH_FIRST = 10.0
CRASH_MOST = 300.0
STEADY = 600.0  # after this many seconds of life, an end counts as the first again

INIT = "init"
SIDECAR = "sidecar"
MAIN = "main"


def kind_of(container: dict[str, Any], *, is_init: bool) -> str:
    """An init container that restarts always is a sidecar."""
    if not is_init:
        return MAIN
    return SIDECAR if container.get("restartPolicy") == "Always" else INIT


def restarts(*, pod_policy: str, container: dict[str, Any], kind: str, code: int, forced: bool = False) -> bool:
    """Whether a container that ended with `code` starts again.

    `forced`: it did not end by itself (a failed probe, a stop of the node), so 0 does not mean success.
    """
    for rule in container.get("restartPolicyRules") or []:
        if rule.get("action") == "Restart" and _matches(rule.get("exitCodes") or {}, code):
            return True
    if kind == SIDECAR:
        return True
    policy = container.get("restartPolicy") or pod_policy
    if policy == "Never":
        return False
    if policy == "Always" and kind == MAIN:
        return True
    return forced or code != 0


def _matches(rule: dict[str, Any], code: int) -> bool:
    return (code in rule.get("values", [])) == (rule.get("operator") == "In")


@dataclass
class Backoff:
    """Growing pauses in seconds: `initial`, then `first`, doubled up to `most`."""

    initial: float = 0.0
    first: float = CRASH_FIRST
    most: float = CRASH_MOST
    _next: float = field(init=False)

    def __post_init__(self) -> None:
        self._next = self.initial

    def after(self, *, ran: float = 0.0) -> float:
        """The pause after a failure that came after `ran` seconds of life."""
        if ran >= STEADY:
            self._next = self.initial
        pause = self._next
        self._next = min(self.most, max(self.first, pause * 2))
        return pause

    def reset(self) -> None:
        self._next = self.initial
