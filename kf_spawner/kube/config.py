"""Finds the configuration of a cluster: a kubeconfig file or the pod's own service account.

Supports for authentication: certificates, tokens, token files and exec plugins (client.authentication.k8s.io).
Format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kf_spawner.k8s import times

from .errors import ConfigError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
EXEC_TIMEOUT = 60.0
TOKEN_RELOAD = 60.0


class Token:
    """A token that authenticates us. It is read before each request, so that a renewed one is used.

    `source` says in words where it comes from. `read` returns it and the seconds to keep it; it may block.
    """

    def __init__(self, source: str, read: Callable[[], tuple[str | None, float]]):
        self.source, self._read = source, read
        self._kept: tuple[str | None, float] | None = None
        self._reading = asyncio.Lock()

    async def current(self) -> str | None:
        """The token; read in a thread when it is no longer kept, once for all callers. Raises ConfigError."""
        async with self._reading:
            if self._kept is None or time.monotonic() >= self._kept[1]:
                value, seconds = await asyncio.to_thread(self._read)
                self._kept = value, time.monotonic() + seconds
            return self._kept[0]

    def forget(self) -> None:
        """Call it after a refusal: the next `current` reads the token again, because it may have been replaced."""
        self._kept = None


@dataclass
class ClusterConfig:
    """The API server's address and our credentials; if `token` gives none, `tls` has a client certificate."""

    server: str
    namespace: str
    tls: ssl.SSLContext | None
    token: Token = field(repr=False)
    ca: bytes | None = field(repr=False, default=None)


def load_config(path: str | Path | None = None) -> ClusterConfig:
    """The configuration in `path`; without it $KUBECONFIG, the in-cluster account or ~/.kube/config, in this order.

    Raises ConfigError if there is none, or if the one found cannot be used.
    """
    chosen = path or os.environ.get("KUBECONFIG")
    if chosen:
        return _from_file(Path(chosen))
    if os.environ.get("KUBERNETES_SERVICE_HOST") and (ACCOUNT / "token").exists():
        return _in_cluster()
    default = Path.home() / ".kube" / "config"
    if default.exists():
        return _from_file(default)
    raise ConfigError("no cluster is configured: set KUBECONFIG to a kubeconfig file")


def _in_cluster() -> ClusterConfig:
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    ca = (ACCOUNT / "ca.crt").read_bytes()
    return ClusterConfig(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        namespace=(ACCOUNT / "namespace").read_text().strip(),
        tls=ssl.create_default_context(cadata=ca.decode()),
        token=_file_token(ACCOUNT / "token"),
        ca=ca,
    )


def _from_file(path: Path) -> ClusterConfig:
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"kubeconfig {path} does not exist") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"kubeconfig {path} cannot be read: {error}") from error
    try:
        context = _named(document, "contexts", document.get("current-context"), path)["context"]
        cluster = _named(document, "clusters", context.get("cluster"), path)["cluster"]
        user = _named(document, "users", context.get("user"), path).get("user") or {}
        server = cluster["server"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"kubeconfig {path} is not complete: {error!r} is missing") from error
    try:
        ca = _data(cluster, "certificate-authority", path)
        tls = _tls(cluster, user, ca, path) if server.startswith("https:") else None
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"kubeconfig {path}: a certificate or key in it is not valid: {error}") from error
    return ClusterConfig(
        server=server.rstrip("/"),
        namespace=context.get("namespace") or "default",
        tls=tls,
        token=_token(user, path),
        ca=ca,
    )


def _named(document: dict[str, Any], section: str, name: str | None, path: Path) -> dict[str, Any]:
    for entry in document.get(section) or []:
        if entry.get("name") == name:
            return dict(entry)
    raise ConfigError(f"kubeconfig {path}: {section} has no entry named {name!r}")


def _data(entry: dict[str, Any], key: str, path: Path) -> bytes | None:
    """The bytes of `key`-data or of the file that `key` names (relative to the kubeconfig)."""
    if entry.get(f"{key}-data"):
        return base64.b64decode(entry[f"{key}-data"])
    if entry.get(key):
        try:
            return (path.parent / str(entry[key])).read_bytes()
        except OSError as error:
            raise ConfigError(f"kubeconfig {path}: {key}: {error}") from error
    return None


def _tls(cluster: dict[str, Any], user: dict[str, Any], ca: bytes | None, path: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _data(user, "client-certificate", path), _data(user, "client-key", path)
    if certificate and key:
        _load_pair(context, certificate, key)
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """The ssl module reads key pairs from files only: a private file, deleted at once."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # created 0600
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        context.load_cert_chain(file.name)


def _token(user: dict[str, Any], path: Path) -> Token:
    if user.get("tokenFile"):
        return _file_token(path.parent / user["tokenFile"])
    if user.get("exec"):
        return _exec_token(user["exec"])
    token = user.get("token")
    what = "token" if token else "certificate"
    return Token(f"the {what} of the kubeconfig {path}", lambda: (token, float("inf")))


def _file_token(path: Path) -> Token:
    def read() -> tuple[str, float]:
        try:
            return path.read_text().strip(), TOKEN_RELOAD
        except OSError as error:
            raise ConfigError(f"the token file {path} cannot be read: {error.strerror}") from error

    read()  # so that a missing file is reported now
    return Token(f"the token in {path}", read)


def _exec_token(plugin: dict[str, Any]) -> Token:
    """The token that an exec credential plugin prints, kept until it expires."""

    def run() -> tuple[str, float]:
        argv = [plugin["command"], *(plugin.get("args") or [])]
        request = {
            "apiVersion": plugin.get("apiVersion"),
            "kind": "ExecCredential",
            "spec": {"interactive": False},
        }
        env = {**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(request)}
        env.update({entry["name"]: entry["value"] for entry in plugin.get("env") or []})
        try:
            done = subprocess.run(
                argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=EXEC_TIMEOUT
            )
            status = json.loads(done.stdout)["status"]
            expiry = status.get("expirationTimestamp")
            left = times.parse(expiry).timestamp() - 60 - time.time() if expiry else float("inf")
            return status["token"], left
        except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError, AttributeError) as error:
            why = _why_no_token(error)
            raise ConfigError(f"the kubeconfig's credential plugin {argv[0]} gave no token: {why}") from error

    return Token(f"the token of the credential plugin {plugin['command']}", run)


def _why_no_token(error: Exception) -> str:
    """Without the plugin's arguments, which may be secret; its last line of output is included."""
    if isinstance(error, subprocess.CalledProcessError):
        said = error.stderr.decode(errors="replace").strip().splitlines()
        return f"it ended with {error.returncode}{f' ({said[-1].strip()})' if said else ''}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"it took longer than {EXEC_TIMEOUT:g} seconds"
    if isinstance(error, OSError):
        return f"{error.strerror}; install it, or put it on PATH"
    return "its output is not an ExecCredential with a token"
