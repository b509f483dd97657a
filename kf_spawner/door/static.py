"""Traefik's static configuration: where the door listens, its limits, how it ends. Read once, at its start.

Pure: returns dicts and argument lists, writes no file. Source: https://doc.traefik.io/traefik/reference/.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ENTRY_POINT = "door"
SECURE, REDIRECT = "secure", "redirect"
PING = "ping"
"""The entry point that answers `/ping`; its route is in the dynamic configuration."""

CLOSED_AT_START = frozenset({ENTRY_POINT, SECURE, REDIRECT})
"""The entry points at which nobody may come before there are routes."""

ENVIRONMENT: Mapping[str, str] = {
    # A door that is mostly idle: collect garbage early, to save memory.
    "GOGC": "50",
    "GOMEMLIMIT": "128MiB",
}


class TlsPorts(NamedTuple):
    """HTTPS at `port`; `redirect_port` sends browsers there."""

    port: int
    redirect_port: int


class Grace(NamedTuple):
    """Seconds: `accept` after SIGTERM, connections are taken and `/ping` answers 503; `answer` after that, requests
    and WebSockets that are open may finish."""

    accept: int
    answer: int


NO_GRACE = Grace(accept=0, answer=3)


def addresses(
    *, host: str, port: int, ping_host: str, ping_port: int, tls: TlsPorts | None = None
) -> dict[str, tuple[str, int]]:
    """The host and TCP port of each entry point, by its name."""
    made = {ENTRY_POINT: (host, port), PING: (ping_host, ping_port)}
    if tls is not None:
        made |= {SECURE: (host, tls.port), REDIRECT: (host, tls.redirect_port)}
    return made


def static(
    *,
    host: str,
    port: int,
    ping_host: str,
    ping_port: int,
    dynamic_url: str,
    dynamic_headers: Mapping[str, str],
    trusted_proxies: Sequence[str] = (),
    tls: TlsPorts | None = None,
    grace: Grace = NO_GRACE,
    log_level: str = "ERROR",
) -> dict[str, Any]:
    """The static configuration of a door on `host:port`.

    `ping_port` on `ping_host` answers `/ping` with 200 once all routes are there. Traefik gets its dynamic
    configuration from `dynamic_url`, once a second, with `dynamic_headers`. `trusted_proxies`: networks of proxies in
    front, whose X-Forwarded-… headers hold. `tls`: HTTPS beside the plain port, default none.
    """
    where = addresses(host=host, port=port, ping_host=ping_host, ping_port=ping_port, tls=tls)
    at = {name: _address(*each) for name, each in where.items()}
    made: dict[str, Any] = {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        # No access log, which would write paths, and no dashboard or API at all.
        "log": {"level": log_level},
        "entryPoints": {
            ENTRY_POINT: _entry_point(at[ENTRY_POINT], trusted_proxies, grace),
            PING: {"address": at[PING], "transport": _transport(grace)},
        },
        "ping": {"manualRouting": True},
        "providers": {
            "providersThrottleDuration": "200ms",
            "http": {
                "endpoint": dynamic_url,
                "headers": dict(dynamic_headers),
                "pollInterval": "1s",
                "pollTimeout": "5s",
            },
        },
    }
    if tls is not None:
        secure = _entry_point(at[SECURE], trusted_proxies, grace)
        made["entryPoints"][SECURE] = {**secure, "http": {"tls": {}}}
        # A port, not the entry point: outside, HTTPS is at its usual port.
        redirect = {"entryPoint": {"to": ":443", "scheme": "https", "permanent": True}}
        made["entryPoints"][REDIRECT] = {
            "address": at[REDIRECT],
            "transport": _transport(grace),
            "http": {"redirections": redirect},
        }
    return made


def argv(traefik: str, static_file: str) -> list[str]:
    """Traefik's command line. All settings are in the file."""
    return [traefik, f"--configFile={static_file}"]


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _entry_point(at: str, trusted_proxies: Sequence[str], grace: Grace) -> dict[str, Any]:
    return {
        "address": at,
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
