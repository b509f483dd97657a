"""Kubernetes Events: which object they are about, and which came last. Pure."""

from collections.abc import Collection
from typing import Any

from kf_spawner.k8s import times


def about(events: list[dict[str, Any]], obj: dict[str, Any]) -> list[dict[str, Any]]:
    """The events about this object, oldest first."""
    uid = obj["metadata"]["uid"]
    return sorted(
        (event for event in events if event.get("involvedObject", {}).get("uid") == uid), key=times.of_event
    )


def newest(events: list[dict[str, Any]], reasons: Collection[str]) -> dict[str, Any]:
    """The last of these reasons; empty if there is none. `events` are in order."""
    return next((event for event in reversed(events) if event.get("reason") in reasons), {})


def unanswered(events: list[dict[str, Any]], reasons: Collection[str], *, until: Collection[str]) -> dict[str, Any]:
    """The last event of `reasons`; empty if there is none or if one of `until` came after it."""
    last = newest(events, {*reasons, *until})
    return last if last.get("reason") in reasons else {}
