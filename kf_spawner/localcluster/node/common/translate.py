"""Translates the strings of a pod for this machine: mount paths, listening addresses, service names.

Only this module changes strings of a command, its arguments or its environment. Pure: the caller gives directories
and addresses. It makes one pass from left to right, so it never translates its own output.
"""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAME_START = r"(?<![\w.-])(?:(?<!/)|(?<=//))"
_NAME_END = r"(?::(?P<port>\d{1,5})(?!\w|\.\d)|(?![\w-]|\.\w))"
_NAME = rf"(?P<name>{_NAME_START}{_LABEL}(?:\.{_LABEL})*\.?{_NAME_END})"
# 0.0.0.0 but neither a part of a longer number, a version, nor a network such as 0.0.0.0/0.
_IPV4_ANY = r"(?<![\w.])0\.0\.0\.0(?!\w|\.\w|/\d)"
# [::] but not a slice such as x[::].
_IPV6_ANY = r"(?<![\w)\]])\[::\](?!\w)"
_LONE_IPV6_ANY = re.compile(r"(--?[\w.-]+=)?::")
# Not part of a longer path and not after a variable: not in /opt/home, ${X}/home, ~/home.
_PATH_START = r"(?:(?<![\w.~/})\]*?%$-])|(?<=:-)|(?<=://))"
# Ends with its last component: not in /home/jovyan2, /home/jovyan.bak, /home/jovyan*, "/home/jovyan\ x".
_PATH_END = r"(?![\w.~+@%$*?{-])(?!\\ )"
_SCHEME_PORTS = {"http://": 80, "https://": 443, "ws://": 80, "wss://": 443}


@dataclass(frozen=True)
class ServiceName:
    """A service that a text names. `port` is None if neither the text nor the scheme of a URL has one.

    `hostname` is that of a pod in `HOSTNAME.SERVICE.NAMESPACE.svc`. `certain`: the name can only be a service
    (`….svc`), so the service must exist. Any other name is a service only if such a service exists.
    """

    namespace: str
    service: str
    port: int | None
    hostname: str | None = None
    certain: bool = True
    scheme: bool = False


Services = Callable[[ServiceName], str | None]


def translate(
    text: str,
    *,
    namespace: str,
    directories: Mapping[str, str],
    pod_ip: str,
    services: Services = lambda name: None,
) -> str:
    """`text` with every mount path, wildcard listening address and service name replaced.

    `directories` maps mount paths to directories; the directories themselves stay unchanged.
    `services` returns the address of a service (`host:port`, or `host` for a name without a port), or None.
    """
    lone = _LONE_IPV6_ANY.fullmatch(text)
    if lone:
        return f"{lone[1] or ''}{pod_ip}"
    paths = {_normal(target): target for target in directories.values()}
    paths.update({_normal(mount): target for mount, target in directories.items()})

    def replacement(match: re.Match[str]) -> str:
        if match["path"] is not None:
            return paths[match["path"]]
        if match["any"] is not None:
            return pod_ip
        name = _service_name(match, namespace)
        found = services(name) if name else None
        return match[0] if found is None else found

    return _pattern(tuple(sorted(paths))).sub(replacement, text)


def service_names(text: str, *, namespace: str) -> set[ServiceName]:
    """Every name in `text` that is or could be a service. `namespace` is that of the pod."""
    matches = _pattern(()).finditer(text)
    found = (_service_name(match, namespace) for match in matches if match["name"] is not None)
    return {name for name in found if name is not None}


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` if NAME is known, and `$$` by `$`, as Kubernetes does.

    Rules: https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    closed, end, open_ = text.rpartition(")")  # after the last one, each `$(` would be followed to the end in vain
    expanded = re.sub(
        r"\$(?:(\$)|\(([^)]*)\))",
        lambda match: "$" if match[1] else values.get(match[2], match[0]),
        closed + end,
    )
    return expanded + open_.replace("$$", "$")


@functools.lru_cache(maxsize=128)
def _pattern(paths: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(paths, key=len, reverse=True)
    names = "|".join(re.escape(path) for path in longest_first) or r"(?!)"
    return re.compile(rf"{_PATH_START}(?P<path>{names}){_PATH_END}|(?P<any>{_IPV4_ANY}|{_IPV6_ANY})|{_NAME}")


def _normal(path: str) -> str:
    return "/" + path.strip("/")


def _service_name(match: re.Match[str], namespace: str) -> ServiceName | None:
    text, start = match.string, match.start()
    host = match["name"].split(":")[0].rstrip(".")
    scheme = next((scheme for scheme in _SCHEME_PORTS if text.endswith(scheme, 0, start)), None)
    port = int(match["port"]) if match["port"] else _SCHEME_PORTS.get(scheme or "")
    labels = host.removesuffix(".cluster.local").split(".")
    if labels[-1] == "svc":
        labels.pop()
        if len(labels) not in (2, 3):
            return None
        hostname = labels[0] if len(labels) == 3 else None
        # Without a port or a known namespace, this may be code, such as `model.linear.svc`.
        certain = bool(match["port"] or scheme) or host.endswith(".local") or labels[-1] == namespace
        return ServiceName(labels[-1], labels[-2], port, hostname, certain, scheme is not None)
    if port is None or len(labels) > 2 or not labels[0][0].isalpha():
        return None
    other = labels[1] if len(labels) == 2 else namespace
    return ServiceName(other, labels[0], port, None, False, scheme is not None)
