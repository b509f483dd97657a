"""Finds the control plane's programs: in a folder that the user names, in a package, or by a build into the cache.

Owns this order. Knows nothing of how they are built or started.
"""

import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import build

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
SERVERS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
KUBECTL = "kubectl"
PACKAGE = "kf_spawner_control_plane"
"""A Python package that brings the programs, built for this machine. Its file `key` names the build."""


class AssetsError(Exception):
    """KUBEBUILDER_ASSETS names a folder without the programs; the message says what is missing."""


@dataclass(frozen=True)
class Binaries:
    """The paths of the programs."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path
    kube_scheduler: Path
    kubectl: Path


async def ensure(progress: Callable[[str], None], *, cache: Path | None = None) -> Binaries:
    """Finds or builds the programs (minutes, the first time). `progress` gets a line now and then.

    `cache` is the folder for downloads and builds (default: `build.cache_root()`). After a cancel, the next call
    continues the build. Raises AssetsError, BuildError.
    """
    found = _assets(os.environ.get(ASSETS_VARIABLE, ""))
    cache = cache or build.cache_root()
    if missing := [name for name in (*SERVERS, KUBECTL) if name not in found]:
        found |= packaged(missing, cache=cache, progress=progress) or await build.ensure(
            build.CONTROL_PLANE, missing, cache=cache, progress=progress
        )
    return Binaries(**{name.replace("-", "_"): path for name, path in found.items()})


def packaged(names: Sequence[str], *, cache: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """The programs `names` of the installed PACKAGE; nothing where it is not installed or another version's.

    A package cannot hold links, and a server is told which one it is by its file's name: links to it are in `cache`.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return {}
    package = Path(spec.submodule_search_locations[0])
    key = build.CONTROL_PLANE.key()
    if not (package / "key").is_file() or (package / "key").read_text().strip() != key:
        progress(f"{package} is of another version: install the kf-spawner-control-plane of this kf-spawner")
        return {}
    links = cache / "bin" / f"{key}-packaged"
    links.mkdir(parents=True, exist_ok=True)
    return {name: _link(links / name, package / "bin" / build.CONTROL_PLANE.programs[name]) for name in names}


def _link(path: Path, target: Path) -> Path:
    """Makes `path` a link to `target`; a process that starts it meanwhile finds the old link or the new one."""
    if not (path.is_symlink() and path.readlink() == target):
        temporary = path.with_name(f".{path.name}-{os.getpid()}")
        temporary.symlink_to(target)
        temporary.rename(path)
    return path


def _assets(folder: str) -> dict[str, Path]:
    """The programs in `folder`: all servers, and kubectl if it exists. Empty without a folder."""
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
