"""The service account tokens of a pod: requested by TokenRequest, bound to the pod, renewed in time.

Also writes a kubeconfig file, because a process cannot have files at /var/run/secrets: outside a container, clients
find the API server by KUBECONFIG. Tokens are written only to files of mode 0600.
"""

import base64
import binascii
import json
import time
from pathlib import Path
from typing import Any

from kf_spawner.kube import Client, ClusterConfig
from kf_spawner.kube.resources import SERVICEACCOUNTS

from ..common.retry_forbidden import retry_forbidden
from .atomic_dir import Content, write_private

ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
RENEW_AT = 0.8
RENEW_AFTER = 24 * 3600.0
DEFAULT_LIFE = 3600


async def request_token(client: Client, pod: dict[str, Any], source: dict[str, Any]) -> bytes:
    """A new token for `pod`, for a projected `serviceAccountToken` source. Raises ApiError."""
    meta, spec = pod["metadata"], pod["spec"]
    request: dict[str, Any] = {
        "expirationSeconds": source.get("expirationSeconds", DEFAULT_LIFE),
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
    }
    if source.get("audience"):
        request["audiences"] = [source["audience"]]
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": request}
    account = spec.get("serviceAccountName") or "default"
    answer = await retry_forbidden(
        lambda: client.create_subresource(SERVICEACCOUNTS, account, meta["namespace"], "token", body)
    )
    return str(answer["status"]["token"]).encode()


def renewal_due(token: bytes, *, now: float | None = None) -> bool:
    """Whether 80 % of the token's life or a day has passed; also true if it is not a token."""
    try:
        body = token.split(b".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
        issued, ends = float(claims["iat"]), float(claims["exp"])
    except (IndexError, ValueError, KeyError, TypeError, binascii.Error):
        return True
    # The API server may extend the life of a token; after `warnafter` it counts as old.
    ends = min(ends, float((claims.get("kubernetes.io") or {}).get("warnafter", ends)))
    age = (time.time() if now is None else now) - issued
    return age >= min((ends - issued) * RENEW_AT, RENEW_AFTER)


def kubeconfig_path(account: Path) -> Path:
    """The path of the kubeconfig for the volume directory `account`: beside the volumes, not among the tokens."""
    return account.parent.parent / "kubeconfigs" / account.name


def token_file(volume: dict[str, Any]) -> str | None:
    """The file name of the API server's token in a projected volume; None for any other volume."""
    for source in (volume.get("projected") or {}).get("sources") or []:
        token = source.get("serviceAccountToken")
        if token and not token.get("audience"):
            return str(token["path"])
    return None


def write_kubeconfig(account: Path, *, token: str, config: ClusterConfig, namespace: str) -> None:
    """Writes the kubeconfig of a pod: the API server of the node, the identity of the pod. Blocking."""
    cluster = {"server": config.server}
    if config.ca:
        cluster["certificate-authority-data"] = base64.b64encode(config.ca).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cluster", "cluster": cluster}],
        "users": [{"name": "pod", "user": {"tokenFile": str(account / token)}}],
        "contexts": [{"name": "pod", "context": {"cluster": "cluster", "user": "pod", "namespace": namespace}}],
        "current-context": "pod",
    }
    data = json.dumps(document, indent=1).encode()  # JSON is also YAML
    path = kubeconfig_path(account)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists() or path.read_bytes() != data:
        write_private(path, data)


def current_token(directory: Path, path: str) -> Content | None:
    """The current token in a volume."""
    file = directory / path
    return Content(file.read_bytes(), 0o600) if file.is_file() else None
