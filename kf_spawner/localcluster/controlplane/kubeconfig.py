"""Kubeconfig files: one for each client, with its certificate inside. Knows no roles."""

import base64
from pathlib import Path

import yaml

from .pki import Pair
from .private_files import write_private_if_changed

CLUSTER = "kf-spawner"


def render(*, server: str, authority: bytes, certificate: bytes, key: bytes, user: str, namespace: str) -> str:
    """A kubeconfig (YAML) with one context, `kf-spawner`; `authority`, `certificate` and `key` are PEM."""

    def encoded(pem: bytes) -> str:
        return base64.b64encode(pem).decode("ascii")

    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CLUSTER,
                "cluster": {"server": server, "certificate-authority-data": encoded(authority)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": encoded(certificate),
                    "client-key-data": encoded(key),
                },
            }
        ],
        "contexts": [
            {"name": CLUSTER, "context": {"cluster": CLUSTER, "user": user, "namespace": namespace}},
        ],
        "current-context": CLUSTER,
    }
    return yaml.safe_dump(document, sort_keys=False)


def write(path: Path, *, server: str, authority: Path, client: Pair, user: str, namespace: str) -> None:
    """Writes the kubeconfig of `client` to `path`, mode 0600, unless the file already has this content."""
    text = render(
        server=server,
        authority=authority.read_bytes(),
        certificate=client.certificate.read_bytes(),
        key=client.key.read_bytes(),
        user=user,
        namespace=namespace,
    )
    write_private_if_changed(path, text.encode())
