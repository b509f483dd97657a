"""Times as the Kubernetes API writes them: RFC 3339 in UTC, `2026-01-01T00:00:00Z`.

`Time` has whole seconds, `MicroTime` (of Leases) microseconds, a container's log nanoseconds.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def parse(text: str) -> datetime:
    """An aware time in UTC, cut off at microseconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} is not a time such as 2026-11-23T17:44:11Z")
    return moment.astimezone(UTC)


def parse_nanoseconds(text: str) -> int:
    """Nanoseconds since 1970, exactly. Raises ValueError."""
    seconds = parse(text).replace(microsecond=0)
    fraction = text.partition(".")[2]
    digits = fraction[: next((at for at, letter in enumerate(fraction) if not letter.isdigit()), len(fraction))]
    return int(seconds.timestamp()) * 10**9 + int(digits.ljust(9, "0")[:9] or 0)


def text(moment: datetime) -> str:
    """A `Time`; `moment` is aware."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def text_of_nanoseconds(nanoseconds: int) -> str:
    """A `Time`, of nanoseconds since 1970."""
    return text(datetime.fromtimestamp(nanoseconds // 10**9, UTC))


def micro_text(moment: datetime) -> str:
    """A `MicroTime`; `moment` is aware."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def age(obj: Mapping[str, Any], now: datetime) -> timedelta:
    """How long ago the API server made an object."""
    return now - parse(obj["metadata"]["creationTimestamp"])


def of_event(event: Mapping[str, Any]) -> str:
    """The newest time in an Event, as text that sorts like a time; empty if it has none."""
    series = event.get("series") or {}
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return max((time for time in times if time), default=event.get("firstTimestamp") or "")
