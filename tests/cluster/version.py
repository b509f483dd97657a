"""Which sources a cluster was started from: one that is up since an earlier commit is not what this one describes."""

import hashlib

from .layout import ROOT

SOURCES = (
    "tests/cluster",
    "kf_spawner/kube",
    "kf_spawner/localcluster/controlplane",
    "kf_spawner/localcluster/node/volume/provisioner.py",
    "kf_spawner/localcluster/supervisor.py",
)
"""Files and folders that say what the cluster is made of and how it is started."""


def current() -> str:
    """The same for the same sources."""
    digest = hashlib.sha256()
    for path in (ROOT / name for name in SOURCES):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and file.parent.name != "__pycache__":
                digest.update(f"\0{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()
