"""Whether a pod that is bound to the node fits on it. Pure.

The scheduler checks this first, but a pod with `spec.nodeName` in its manifest bypasses the scheduler. The reasons
are those of a kubelet: `OutOf…`.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from kf_spawner.k8s import quantities

from ..common.restarts import SIDECAR, kind_of


def requests(pod: dict[str, Any]) -> dict[str, Fraction]:
    """The requests of a pod by resource: the sum of its containers, or its largest init container if that is more."""
    spec = pod["spec"]
    total: dict[str, Fraction] = {}
    largest: dict[str, Fraction] = {}
    for container in spec.get("initContainers") or []:
        own = _of(container)
        if kind_of(container, is_init=True) == SIDECAR:
            _add(total, own)
        else:
            own = _sum(own, total)
            largest = {name: max(own.get(name, Fraction()), largest.get(name, Fraction())) for name in own | largest}
    for container in spec["containers"]:
        _add(total, _of(container))
    needed = {name: max(total.get(name, Fraction()), largest.get(name, Fraction())) for name in total | largest}
    _add(needed, {name: quantities.parse(value) for name, value in (spec.get("overhead") or {}).items()})
    return {**needed, "pods": Fraction(1)}


def shortage(
    pod: dict[str, Any], others: Iterable[dict[str, Any]], allocatable: dict[str, str]
) -> tuple[str, str] | None:
    """Reason and message if `pod` does not fit beside `others`, else None."""
    used: dict[str, Fraction] = {}
    for other in others:
        _add(used, requests(other))
    for name, wanted in requests(pod).items():
        capacity = quantities.parse(allocatable.get(name, "0"))
        taken = used.get(name, Fraction())
        if wanted and taken + wanted > capacity:
            figures = ", ".join(
                f"{word}: {_shown(name, value)}"
                for word, value in (("requested", wanted), ("used", taken), ("capacity", capacity))
            )
            return f"OutOf{name}", f"Node didn't have enough resource: {name}, {figures}"
    return None


def _shown(name: str, value: Fraction) -> str:
    return str(int(value * 1000 if name == "cpu" else value))


def _of(container: dict[str, Any]) -> dict[str, Fraction]:
    resources = container.get("resources") or {}
    wanted = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantities.parse(value) for name, value in wanted.items()}


def _add(total: dict[str, Fraction], more: dict[str, Fraction]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Fraction()) + value


def _sum(one: dict[str, Fraction], other: dict[str, Fraction]) -> dict[str, Fraction]:
    result = dict(one)
    _add(result, other)
    return result
