"""The door's routes to endpoints: Services and pods -> Traefik's dynamic configuration.

Pure and deterministic: the same world gives the same configuration, whatever order it is told in. Knows nothing of
how the configuration reaches Traefik, nor of who may call: each request is asked about at `authorize_url` first.

What an endpoint's route promises:

- the hub is asked about the namespace and name that the *route* belongs to, as a part of the address that is asked,
  not about a path that the caller wrote: no spelling of a path can ask about one endpoint and reach another;
- the caller's token and cookies end at the door: the model server never sees them;
- who answers is found by the Service's selector, as pod addresses. No DNS name and no Endpoints object is needed;
- an endpoint with no ready pod has a route, too. After the same question the hub answers 503 and says why.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from kf_spawner.door.configuration import NOBODY, ask_hub
from kf_spawner.serving.names import ENDPOINT_LABEL, REST_PORT, door_path


def configuration(
    services: Iterable[Mapping[str, Any]],
    pods: Iterable[Mapping[str, Any]],
    *,
    authorize_url: str,
) -> dict[str, Any]:
    """Traefik's dynamic configuration for all endpoints among `services`.

    `services` and `pods` may be those of the whole cluster. `authorize_url` is the hub's handler without a slash at
    the end, such as `http://127.0.0.1:8081/hub/kf/authorize`. No endpoints: an empty configuration.
    """
    by_namespace: dict[str, list[Mapping[str, Any]]] = {}
    for pod in pods:
        by_namespace.setdefault(pod["metadata"]["namespace"], []).append(pod)
    routers: dict[str, Any] = {}
    middlewares: dict[str, Any] = {}
    backends: dict[str, Any] = {}
    for service in sorted(filter(_is_endpoint, services), key=_key):
        namespace, name = _key(service)
        key = f"endpoint-{namespace}.{name}"  # a dot is in no label: two endpoints never share a key
        addresses = _ready_addresses(service, by_namespace.get(namespace, ()))
        path = door_path(namespace, name)
        question = f"{authorize_url}/{namespace}/{name}"
        middlewares[f"{key}.authorize"] = ask_hub(question if addresses else f"{question}/unready")
        middlewares[f"{key}.prefix"] = {"stripPrefix": {"prefixes": [path]}}
        middlewares[f"{key}.private"] = {"headers": {"customRequestHeaders": {"Authorization": "", "Cookie": ""}}}
        routers[key] = {
            "rule": f"PathPrefix(`{path}/`)",
            "middlewares": [f"{key}.authorize", f"{key}.private", f"{key}.prefix"],
            "service": key if addresses else NOBODY,
        }
        if addresses:
            servers = [{"url": f"http://{_host(address)}:{REST_PORT}"} for address in addresses]
            backends[key] = {"loadBalancer": {"servers": servers, "passHostHeader": False}}
    # Traefik refuses a map that is there and empty.
    parts = {"routers": routers, "middlewares": middlewares, "services": backends}
    return {"http": {kind: part for kind, part in parts.items() if part}} if routers else {}


def _is_endpoint(service: Mapping[str, Any]) -> bool:
    metadata = service["metadata"]
    return (
        (metadata.get("labels") or {}).get(ENDPOINT_LABEL) == metadata["name"]
        and bool((service.get("spec") or {}).get("selector"))
        and not metadata.get("deletionTimestamp")
    )


def _key(service: Mapping[str, Any]) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def _ready_addresses(service: Mapping[str, Any], pods: Iterable[Mapping[str, Any]]) -> list[str]:
    """Addresses of the pods that the service's selector picks and that can answer, sorted."""
    selector = service["spec"]["selector"].items()
    return sorted(
        pod["status"]["podIP"]
        for pod in pods
        if selector <= (pod["metadata"].get("labels") or {}).items() and _answers(pod)
    )


def _answers(pod: Mapping[str, Any]) -> bool:
    seen = pod.get("status") or {}
    return (
        not pod["metadata"].get("deletionTimestamp")
        and bool(seen.get("podIP"))
        and any(c["type"] == "Ready" and c["status"] == "True" for c in seen.get("conditions") or ())
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
