"""Traefik's dynamic configuration: routes to the hub's proxy and to each endpoint.

Pure and deterministic. Does not know how the configuration reaches Traefik, nor who may call an endpoint: Traefik
asks at `authorize_url` about each request first (`authorizer.py`). Source: https://doc.traefik.io/traefik/reference/.

What an endpoint's route promises:

- the question names the namespace and endpoint of the *route*, not the path that the caller wrote: no
  spelling of a path can ask about one endpoint and reach another;
- the caller's token, cookies and signed login stop at the door: the model server never sees them;
- only the door's own answers have the header `Kf-Door`: it is removed from a model server's answer;
- a request is sent again where no pod took the connection, and only then: scaling, a new version and a killed pod
  fail no request that another pod can take. An answer 502 is the door's own, as JSON (`authorizer.py`);
- a gRPC call names its endpoint in the header `Kf-Endpoint`, asks the same question and loses the same headers;
- an endpoint with no ready pod has a route, too. After the same question the answer is 503 and says why.

A path below `/serving/`, or of a gRPC service, without a route gets the door's own answer (401, 403 or 404; 503 until
endpoints are known), never one of the hub's proxy.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from kf_spawner.serving import (
    DOOR_HEADER,
    DOOR_TOKEN_HEADER,
    ENDPOINT_HEADER,
    GRPC_PORT,
    IAP_HEADER,
    Backends,
    address,
)

from .static import PING

PATIENCE: Mapping[str, Any] = {"attempts": 60, "initialInterval": "500ms"}
"""How often Traefik tries the hub's proxy while nothing listens there, and the pause between two tries (at most twice
as long): about a minute, in which a pod is replaced. After a 502, an open notebook would report that its kernel is
gone.
"""

AGAIN: Mapping[str, Any] = {"attempts": 30, "initialInterval": "50ms"}
"""How often Traefik tries an endpoint's pods where it got no connection, each time the next one: about two seconds,
longer than a pod that has ended keeps its route. A request of which a pod has received anything is never sent again.
"""

DIAL = "2s"
"""How long a connection to a pod may take to be made: the address of a lost node answers nothing."""

_GRPC = "(PathPrefix(`/tensorflow.serving.`) || PathPrefix(`/grpc.health.v1.`))"
"""The paths of the services that a model server has."""

_NOBODY = "noop@internal"
"""Traefik's service that answers nothing: for routes whose every request is answered by the question before it."""


class Certificate(NamedTuple):
    """Paths of PEM files."""

    certificate: str
    key: str


class Targets(NamedTuple):
    """`proxy_url`: the hub's proxy; `authorize_url`: the door's authorizer, without a slash at the end;
    `proxy_token`: what the proxy knows the door by."""

    proxy_url: str
    authorize_url: str
    proxy_token: str


def dynamic(
    targets: Targets,
    endpoints: Iterable[Backends] | None,
    *,
    certificate: Certificate | None = None,
    https_in_front: bool = False,
    hub_domain: str = "",
) -> dict[str, Any]:
    """The dynamic configuration. `endpoints` is None until they are known: then `/ping` has no route, and no endpoint
    is said not to exist.

    `https_in_front`: the hub is told HTTPS, because browsers speak it to a proxy whose headers are not trusted.
    `hub_domain`: the hub's host, where each user has a domain below it; endpoints are then served elsewhere.
    """
    elsewhere = _elsewhere(hub_domain) if hub_domain else ""
    unrouted = targets.authorize_url if endpoints is not None else f"{targets.authorize_url}/starting"
    http = _hub(targets, elsewhere, unrouted)
    if https_in_front:
        http["middlewares"]["https"] = {"headers": {"customRequestHeaders": {"X-Forwarded-Proto": "https"}}}
        http["routers"]["hub"]["middlewares"].append("https")
    if endpoints is not None:
        http["routers"]["ping"] = {"rule": "Path(`/ping`)", "entryPoints": [PING], "service": "ping@internal"}
        for backends in endpoints:
            _add_endpoint(http, backends, targets.authorize_url, elsewhere)
    if certificate is None:
        return {"http": http}
    pair = {"certFile": certificate.certificate, "keyFile": certificate.key}
    return {"http": http, "tls": {"stores": {"default": {"defaultCertificate": pair}}}}


def _elsewhere(hub_domain: str) -> str:
    """The rule for hosts of endpoints, to go before another rule: an answer of a model is a user's, and would have
    the origin of the hub or of a user's server. At all other names the door has nothing that a login opens."""
    below = f"HostRegexp(`^[^.]+[.]{re.escape(hub_domain)}[.]?$`)"
    return f"!Host(`{hub_domain}`) && (!{below} || Host(`{address.host(hub_domain)}`)) && "


def _hub(targets: Targets, elsewhere: str, unrouted: str) -> dict[str, dict[str, Any]]:
    below = f"{elsewhere}(Path(`{address.PREFIX}`) || PathPrefix(`{address.PREFIX}/`))"
    return {
        "routers": {
            "hub": {"rule": "PathPrefix(`/`)", "priority": 1, "middlewares": ["token", "patience"], "service": "hub"},
            # Longer rules win: an endpoint's own route has a higher priority than this.
            "serving": {"rule": below, "priority": 2, "middlewares": ["serving-authorize"], "service": _NOBODY},
            "grpc": {
                "rule": f"{elsewhere}{_GRPC}",
                "priority": 2,
                "middlewares": ["grpc-authorize"],
                "service": _NOBODY,
            },
        },
        "middlewares": {
            "token": {"headers": {"customRequestHeaders": {DOOR_TOKEN_HEADER: targets.proxy_token}}},
            "patience": {"retry": dict(PATIENCE)},
            "serving-authorize": _ask(unrouted),
            "grpc-authorize": _ask(unrouted, grpc=True),
            "serving-again": {"retry": dict(AGAIN)},
            "serving-unanswered": {
                "errors": {
                    "status": ["502"],  # a 504 may be the model server's: a prediction took too long
                    "service": "authorizer",
                    "query": "/unanswered",
                    "errorRequestHeaders": ["Accept"],  # not the token
                }
            },
        },
        "services": {
            "hub": {"loadBalancer": {"servers": [{"url": targets.proxy_url}]}},
            "authorizer": {"loadBalancer": {"servers": [{"url": targets.authorize_url}]}},
        },
        "serversTransports": {"pods": {"maxIdleConnsPerHost": 200, "forwardingTimeouts": {"dialTimeout": DIAL}}},
    }


def _add_endpoint(http: dict[str, dict[str, Any]], backends: Backends, authorize_url: str, elsewhere: str) -> None:
    key = f"endpoint-{backends.namespace}.{backends.name}"  # a dot is in no label: two endpoints never share a key
    path = address.path(backends.namespace, backends.name)
    question = f"{authorize_url}/{backends.namespace}/{backends.name}"
    question = question if backends.addresses else f"{question}/unready"
    http["middlewares"][f"{key}.authorize"] = _ask(question)
    http["middlewares"][f"{key}.grpc.authorize"] = _ask(question, grpc=True)
    http["middlewares"][f"{key}.prefix"] = {"stripPrefix": {"prefixes": [path]}}
    # An empty value removes the header. Refusals do not pass this middleware.
    http["middlewares"][f"{key}.private"] = {
        "headers": {
            "customRequestHeaders": {"Authorization": "", "Cookie": "", IAP_HEADER: ""},
            "customResponseHeaders": {DOOR_HEADER: ""},
        }
    }
    http["routers"][key] = {
        "rule": f"{elsewhere}PathPrefix(`{path}/`)",
        "middlewares": [
            *("serving-unanswered", f"{key}.authorize", f"{key}.private", f"{key}.prefix", "serving-again"),
        ],
        "service": key if backends.addresses else _NOBODY,
    }
    grpc = f"{key}.grpc"
    http["routers"][grpc] = {
        "rule": f"{elsewhere}{_GRPC} && Header(`{ENDPOINT_HEADER}`, `{backends.namespace}/{backends.name}`)",
        "middlewares": [f"{grpc}.authorize", f"{key}.private", "serving-again"],
        "service": grpc if backends.addresses else _NOBODY,
    }
    if backends.addresses:
        http["services"][key] = _pods(backends, "http", backends.port)
        http["services"][grpc] = _pods(backends, "h2c", GRPC_PORT)


def _pods(backends: Backends, scheme: str, port: int) -> dict[str, Any]:
    servers = [{"url": f"{scheme}://{_host(each)}:{port}"} for each in backends.addresses]
    return {"loadBalancer": {"servers": servers, "passHostHeader": False, "serversTransport": "pods"}}


def _ask(question: str, *, grpc: bool = False) -> dict[str, Any]:
    """The middleware that asks first. It gives the token only, not the callers' forwarding headers; of a gRPC call
    also what tells that it is one, and the endpoint."""
    return {
        "forwardAuth": {
            "address": question,
            "trustForwardHeader": False,
            "authRequestHeaders": ["Authorization", *(["Content-Type", ENDPOINT_HEADER] if grpc else [])],
        }
    }


def _host(pod_address: str) -> str:
    return f"[{pod_address}]" if ":" in pod_address else pod_address
