"""Directories whose files change all at once, with the `..data` link of a kubelet; also removes trees.

    volume/..2026_11_23_17_44_11.123456/key     the files
    volume/..data -> ..2026_11_23_17_44_11.123456
    volume/key -> ..data/key

A reader sees only old files or only new files. Knows nothing of where the files come from.
"""

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DATA = "..data"


@dataclass(frozen=True)
class Content:
    """A file's bytes and its mode."""

    data: bytes
    mode: int = 0o644


def read_payload(directory: Path) -> dict[str, Content]:
    """The files that a reader of `directory` sees now, by relative path."""
    current = directory / DATA
    if not current.is_dir():
        return {}
    files = [path for path in current.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(current)): Content(path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in files
    }


def write_payload(directory: Path, payload: Mapping[str, Content]) -> bool:
    """Makes `directory` show exactly `payload`; False if it already does. Blocking.

    After a crash at any point, readers see the old or the new files; the next write removes the rest.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    links = {path.split("/")[0] for path in payload}
    shown = {entry.name for entry in directory.iterdir() if not entry.name.startswith("..")}
    if (directory / DATA).is_symlink() and shown == links and read_payload(directory) == dict(payload):
        return False
    fresh = directory / datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.%f")
    fresh.mkdir(mode=0o755)
    for path, content in payload.items():
        _write(fresh / path, content)
    pending = directory / "..data_tmp"
    pending.unlink(missing_ok=True)
    pending.symlink_to(fresh.name)
    pending.rename(directory / DATA)
    for name in links:
        link = directory / name
        if not link.is_symlink():
            link.symlink_to(f"{DATA}/{name}")
    for entry in directory.iterdir():
        if entry.name not in links | {DATA, fresh.name}:
            entry.unlink() if entry.is_symlink() else remove_tree(entry)
    return True


def write_private(path: Path, data: bytes) -> None:
    """Replaces `path` by a file with `data` that only this user can read. Blocking."""
    pending = path.with_name(f".{path.name}.new")
    pending.unlink(missing_ok=True)
    _write(pending, Content(data, 0o600))
    pending.rename(path)


def remove_tree(path: Path) -> None:
    """Removes a directory with all its content, also folders without write permission. Blocking."""
    if path.is_symlink():
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        if path.exists():
            raise
    except PermissionError:
        path.chmod(0o700)
        for folder, names, _files in os.walk(path):
            for name in names:
                below = os.path.join(folder, name)
                if not os.path.islink(below):
                    os.chmod(below, 0o700)
        shutil.rmtree(path)


def _write(path: Path, content: Content) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.data)
        os.fchmod(file.fileno(), content.mode)
