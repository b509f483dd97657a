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
    by_namespace: dict[str, list[Mapping[str, Any]]] = {}
    for pod in pods:
        by_namespace.setdefault(pod["metadata"]["namespace"], []).append(pod)
    found = []
    for service in filter(_is_endpoint, services):
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        addresses = _ready_addresses(service["spec"]["selector"], by_namespace.get(namespace, ()))
        found.append(Backends(namespace, name, addresses))
    return sorted(found)


def _is_endpoint(service: Mapping[str, Any]) -> bool:
    metadata = service["metadata"]
    return (
        (metadata.get("labels") or {}).get(ENDPOINT_LABEL) == metadata["name"]
        and bool((service.get("spec") or {}).get("selector"))
        and not metadata.get("deletionTimestamp")
    )


def _ready_addresses(selector: Mapping[str, str], pods: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    matching = (pod for pod in pods if selector.items() <= (pod["metadata"].get("labels") or {}).items())
    return tuple(sorted(pod["status"]["podIP"] for pod in matching if _is_ready(pod)))


def _is_ready(pod: Mapping[str, Any]) -> bool:
    status = pod.get("status") or {}
    return (
        not pod["metadata"].get("deletionTimestamp")
        and bool(status.get("podIP"))
        and any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
    )
