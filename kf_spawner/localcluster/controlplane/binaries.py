"""Where the control plane's programs are: in a folder that the user names, in the cache, or built into it.

Owns that order. Knows nothing of how they are built or started.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.localcluster.controlplane import build

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBECTL = "kubectl"


class AssetsError(Exception):
    """KUBEBUILDER_ASSETS names a folder that cannot be used; the message says what is missing."""


@dataclass(frozen=True)
class Binaries:
    """The programs' files."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path


async def ensure(progress: Callable[[str], None], *, cache: Path | None = None) -> Binaries:
    """The programs, found or built (minutes, the first time). `progress` gets a line of words now and then.

    `cache` is the folder for downloads and builds (default: `build.cache_root()`). Cancelling ends a build; the next
    call goes on where it was. Raises AssetsError, BuildError.
    """
    found = _assets(os.environ.get(ASSETS_VARIABLE, ""))
    missing = [name for name in (*SERVERS, KUBECTL) if name not in found]
    if missing:
        cache = cache or build.cache_root()
        found |= await build.ensure(build.CONTROL_PLANE, missing, cache=cache, progress=progress)
    return Binaries(**{name.replace("-", "_"): path for name, path in found.items()})


def _assets(folder: str) -> dict[str, Path]:
    """The programs in `folder`: all the servers, and kubectl if it is there. Nothing when no folder is named."""
    if not folder:
        return {}
    found = {name: Path(folder).resolve() / name for name in (*SERVERS, KUBECTL)}
    missing = [name for name in SERVERS if not os.access(found[name], os.X_OK)]
    if missing:
        raise AssetsError(
            f"{ASSETS_VARIABLE}={folder} has no program {', '.join(missing)}: name a folder that holds "
            f"{', '.join(SERVERS)}, or unset {ASSETS_VARIABLE} to have them built"
        )
    if not os.access(found[KUBECTL], os.X_OK):
        del found[KUBECTL]
    return found
