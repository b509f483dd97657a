"""Finds the directory of each volumeMount of a container, with subPath and subPathExpr.

A subPath never leads out of its volume, neither by `..` nor through a link that a process made. Like a kubelet, it
creates the folder of a subPath that does not exist. Knows nothing of where volumes come from.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.downward_api import FieldError, field_value
from ..common.translate import expand


class MountError(Exception):
    """A mount is not possible; the message names the field and the container."""


@dataclass(frozen=True)
class Mount:
    """`mount_path` in the container is `host_path` on this machine."""

    mount_path: str
    host_path: Path


def container_mounts(pod: dict[str, Any], container: dict[str, Any], volumes: Mapping[str, Path]) -> list[Mount]:
    """The mounts of `container`; `volumes` are the directories of the pod's volumes by name. Raises MountError."""
    mounts = []
    for mount in container.get("volumeMounts") or []:
        directory = volumes.get(mount["name"])
        if directory is None:
            raise MountError(f'container "{container["name"]}": volumeMounts names no volume "{mount["name"]}"')
        below = mount.get("subPath") or _expanded(pod, container, mount.get("subPathExpr") or "")
        path = "/" + mount["mountPath"].strip("/")
        mounts.append(Mount(path, inside(directory, below)))
    return mounts


def inside(directory: Path, below: str) -> Path:
    """The path `below` in `directory`; creates it as a folder if needed. Raises MountError if it leads out."""
    parts = [part for part in below.split("/") if part not in ("", ".")]
    if ".." in parts or below.startswith("/"):
        raise MountError(f'subPath "{below}" must be a path below its volume, without ".."')
    root = directory.resolve()
    path = directory
    for part in parts:
        path = path / part
        if not os.path.lexists(path):
            path.mkdir(mode=0o750)
        elif not path.resolve().is_relative_to(root):
            raise MountError(f'subPath "{below}" leads out of its volume by a link')
    if not path.exists():
        raise MountError(f'subPath "{below}" is a link to nothing')
    return path


def _expanded(pod: dict[str, Any], container: dict[str, Any], expression: str) -> str:
    if "$" not in expression:
        return expression
    values: dict[str, str] = {}
    for entry in container.get("env") or []:
        field = ((entry.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
        try:
            if field and not field.startswith("status."):
                values[entry["name"]] = field_value(pod, field)
            elif "valueFrom" not in entry:
                values[entry["name"]] = expand(entry.get("value") or "", values)
        except FieldError as error:
            raise MountError(f"env {entry['name']}: {error}") from error
    expanded = expand(expression, values)
    if "$(" in expanded:
        raise MountError(
            f'subPathExpr "{expression}" of container "{container["name"]}": every name in it must be in env, '
            "with a value or a fieldRef of metadata or spec"
        )
    return expanded
