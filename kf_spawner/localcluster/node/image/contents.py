"""What an environment holds: written down when it is built, compared before it is used, and made read-only.

Whoever runs in an environment must not change it for all others. Read-only files stop everybody but root, so it is
compared as well. Knows nothing of images or how they are built.
"""

import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

RECORD = "contents.json"
CACHES = "__pycache__"
"""Not compared: root's Python writes them as it goes."""
WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def record(environment: Path) -> None:
    """Writes down what `environment` holds now, in a file of it."""
    path = environment / RECORD
    path.unlink(missing_ok=True)  # it may be a hard link into another environment
    path.touch()  # before its folder is looked at
    found = {
        os.path.relpath(folder, environment): [os.stat(folder).st_mtime_ns, _listing(folder)]
        for folder in _folders(environment)
    }
    path.write_text(json.dumps(found))
    path.chmod(0o444)


def is_intact(environment: Path, *, thorough: bool = False) -> bool:
    """Whether `environment` holds what was written down: names, sizes and times of its files.

    A folder that has its old time of modification is looked into only if `thorough`: nothing was added to it or
    removed from it. Takes some 20 ms for 5,000 folders, and ten times as long if `thorough`.
    """
    try:
        known = json.loads((environment / RECORD).read_text())
        for name, (modified, listing) in known.items():
            folder = os.path.join(environment, name)
            if (thorough or os.stat(folder).st_mtime_ns != modified) and _listing(folder) != listing:
                return False
    except (OSError, ValueError):
        return False
    return True


def protect_files(environment: Path) -> None:
    """Takes the right to write from every file below `environment`."""
    for folder in _folders(environment, caches=True):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    os.chmod(entry.path, entry.stat().st_mode & ~WRITABLE)


def protect_folders(image: Path) -> None:
    """Takes the right to add and remove files from `image` and every folder below it."""
    for folder in _folders(image, caches=True):
        os.chmod(folder, os.stat(folder).st_mode & ~WRITABLE)


def release_folders(image: Path) -> None:
    """Gives the owner that right again, to change or remove the image."""
    for folder in _folders(image, caches=True):
        os.chmod(folder, os.stat(folder).st_mode | stat.S_IWUSR)


def _folders(environment: Path, *, caches: bool = False) -> Iterator[str]:
    for folder, names, _ in os.walk(environment):
        if not caches:
            names[:] = [name for name in names if name != CACHES]
        yield folder


def _listing(folder: str) -> str:
    """A hash of the names, sizes and times of modification in `folder`."""
    lines = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                lines.append(f"{entry.name}/")
            elif entry.name != RECORD:
                found = entry.stat(follow_symlinks=False)
                lines.append(f"{entry.name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(line for line in lines if line != f"{CACHES}/")).encode()).hexdigest()
