"""Traefik's static and dynamic configuration for the door in front of everything.

Owns where the door listens, what it reads and its limits. Pure: returns dicts and argument lists, writes no file.

Requests to `/serving/…` go to endpoints, each asked about at the hub first; their routes come from the operator by
HTTP. All else goes to the hub's proxy. A path below `/serving/` that has no route is answered by the hub as well
(401, 403 or 404) and never reaches the hub's proxy.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ENTRY_POINT = "door"

ENVIRONMENT: Mapping[str, str] = {
    # A door that is mostly idle: collect garbage early, for memory's sake.
    "GOGC": "50",
    "GOMEMLIMIT": "128MiB",
}


PATIENCE: Mapping[str, Any] = {"attempts": 60, "initialInterval": "500ms"}
"""How often the hub's proxy is tried while nothing listens there, and with which pause (at most twice as long): for
about a minute, in which a pod is replaced. An open notebook would take a 502 for the end of its kernel."""

NOBODY = "noop@internal"
"""Traefik's service that answers nothing: for routes whose every request the hub answers itself."""


class DoorConfiguration(NamedTuple):
    """Both files' contents. JSON is YAML: written as JSON into a `.yaml` file Traefik reads either."""

    static: dict[str, Any]
    dynamic: dict[str, Any]


class Tls(NamedTuple):
    """HTTPS at `port` with the PEM files `certificate` and `key`; `redirect_port` sends browsers there."""

    port: int
    redirect_port: int
    certificate: str
    key: str


class Grace(NamedTuple):
    """Seconds: `accept` after SIGTERM, connections are taken and `/ping` answers 503; `answer` after that, whoever is
    connected may finish, be it a request or a WebSocket."""

    accept: int
    answer: int


NO_GRACE = Grace(accept=0, answer=3)


def configuration(
    *,
    host: str,
    port: int,
    proxy_url: str,
    authorize_url: str,
    routes_url: str,
    dynamic_file: str,
    ping_host: str = "127.0.0.1",
    ping_port: int | None = None,
    trusted_proxies: Sequence[str] = (),
    tls: Tls | None = None,
    grace: Grace = NO_GRACE,
    log_level: str = "ERROR",
) -> DoorConfiguration:
    """The door on `host:port`.

    `proxy_url`: the hub's proxy; `authorize_url`: the hub's `/hub/kf/authorize`; `routes_url`: the operator's
    `/routes`; `dynamic_file`: where the second of the two results will be; `ping_port`: a port on `ping_host` that
    answers `/ping` with 200 once the door serves, default none; `trusted_proxies`: networks of proxies in front,
    whose X-Forwarded-… headers hold; `tls`: HTTPS beside the plain port, default none; `grace`: how
    it ends.
    """
    static: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        # No access log, which would write paths, and no dashboard or API at all.
        "log": {"level": log_level},
        "entryPoints": {ENTRY_POINT: _entry_point(host, port, trusted_proxies, grace)},
        "providers": {
            "providersThrottleDuration": "200ms",
            "file": {"filename": dynamic_file, "watch": False},
            "http": {"endpoint": routes_url, "pollInterval": "1s", "pollTimeout": "5s"},
        },
    }
    if tls is not None:
        secure = _entry_point(host, tls.port, trusted_proxies, grace)
        static["entryPoints"]["secure"] = {**secure, "http": {"tls": {}}}
        # A port, not the entry point: outside, HTTPS is at its usual port.
        redirect = {"entryPoint": {"to": ":443", "scheme": "https", "permanent": True}}
        static["entryPoints"]["redirect"] = {
            "address": _address(host, tls.redirect_port),
            "transport": _transport(grace),
            "http": {"redirections": redirect},
        }
    if ping_port is not None:
        static["entryPoints"]["ping"] = {
            "address": _address(ping_host, ping_port),
            "transport": _transport(grace),
        }
        # Its own route stands in the file with the others, so it answers when they do and not before.
        static["ping"] = {"manualRouting": True}
    dynamic = _dynamic(proxy_url, authorize_url, with_ping=ping_port is not None)
    if tls is not None:
        pair = {"certFile": tls.certificate, "keyFile": tls.key}
        dynamic["tls"] = {"stores": {"default": {"defaultCertificate": pair}}}
    return DoorConfiguration(static, dynamic)


def ask_hub(address: str) -> dict[str, Any]:
    """The middleware that asks the hub first. Only the token goes there; what callers say of forwarding does not."""
    return {
        "forwardAuth": {
            "address": address,
            "trustForwardHeader": False,
            "authRequestHeaders": ["Authorization"],
        }
    }


def argv(traefik: str, static_file: str) -> list[str]:
    """The command line of the door's process. No setting is in it: all are in the file."""
    return [traefik, f"--configFile={static_file}"]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _entry_point(host: str, port: int, trusted_proxies: Sequence[str], grace: Grace) -> dict[str, Any]:
    return {
        "address": _address(host, port),
        "asDefault": True,
        **({"forwardedHeaders": {"trustedIPs": list(trusted_proxies)}} if trusted_proxies else {}),
        "transport": {
            # Reading a request: a large upload over a slow line. Neither an answer that streams nor a
            # WebSocket has a limit.
            "respondingTimeouts": {"readTimeout": "600s", "writeTimeout": "0s", "idleTimeout": "180s"},
            **_transport(grace),
        },
    }


def _transport(grace: Grace) -> dict[str, Any]:
    return {"lifeCycle": {"requestAcceptGraceTimeout": f"{grace.accept}s", "graceTimeOut": f"{grace.answer}s"}}


def _dynamic(proxy_url: str, authorize_url: str, *, with_ping: bool) -> dict[str, Any]:
    ping = {"rule": "Path(`/ping`)", "entryPoints": ["ping"], "service": "ping@internal"}
    return {
        "http": {
            "routers": {
                "hub": {
                    "rule": "PathPrefix(`/`)",
                    "priority": 1,
                    "middlewares": ["patience"],
                    "service": "hub",
                },
                # Longer rules win: an endpoint's own route has a higher priority than this.
                "serving": {
                    "rule": "Path(`/serving`) || PathPrefix(`/serving/`)",
                    "priority": 2,
                    "middlewares": ["serving-authorize"],
                    "service": NOBODY,
                },
                **({"ping": ping} if with_ping else {}),
            },
            "middlewares": {
                "patience": {"retry": dict(PATIENCE)},
                "serving-authorize": ask_hub(authorize_url),
            },
            "services": {"hub": {"loadBalancer": {"servers": [{"url": proxy_url}]}}},
        }
    }
