"""Which pods answer for each endpoint: Services and pods -> backends.

Pure and deterministic: the same objects give the same list in any order. Does not know who forwards requests.
Pods are found by the Service's selector. No DNS name and no Endpoints object is needed: a cluster on one machine
has neither.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .names import ENDPOINT_LABEL, REST_PORT


class Backends(NamedTuple):
    """The addresses of an endpoint's ready pods, sorted; empty while no pod is ready. All listen on `port`."""

    namespace: str
    name: str
    addresses: tuple[str, ...]
    port: int = REST_PORT


def backends(services: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]]) -> list[Backends]:
    """The backends of every endpoint among `services`, by namespace and name.

    `services` and `pods` may be those of the whole cluster.
    """
    by_label: dict[tuple[str, str, str], set[str]] = {}  # (namespace, label, value) -> addresses
    for pod in filter(_is_ready, pods):
        for label in (pod["metadata"].get("labels") or {}).items():
            by_label.setdefault((pod["metadata"]["namespace"], *label), set()).add(pod["status"]["podIP"])
    found = []
    for service in filter(_is_endpoint, services):
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        matching = (by_label.get((namespace, *label), set()) for label in service["spec"]["selector"].items())
        found.append(Backends(namespace, name, tuple(sorted(set.intersection(*matching)))))
    return sorted(found)


def _is_endpoint(service: Mapping[str, Any]) -> bool:
    metadata = service["metadata"]
    return (
        (metadata.get("labels") or {}).get(ENDPOINT_LABEL) == metadata["name"]
        and bool((service.get("spec") or {}).get("selector"))
        and not metadata.get("deletionTimestamp")
    )


def _is_ready(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    return (
        not pod["metadata"].get("deletionTimestamp")
        and bool(status.get("podIP"))
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    )
