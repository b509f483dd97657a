"""Which versions of a model a folder holds, and whether they are complete. Reads the disk; knows no TensorFlow.

A base folder holds versions as TF Serving wants them, `BASE/1`, `BASE/2`, …, each a SavedModel. A base folder that is
itself a SavedModel counts as version 1: the folder from `tf.saved_model.save(model, path)` can be served directly.
"""

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")
_FILES = (*_GRAPHS, "fingerprint.pb", "keras_metadata.pb")
_FOLDERS = ("variables", "assets", "assets.extra")
_SHARD = re.compile(r"(?P<prefix>.+)\.data-\d{5}-of-(?P<count>\d{5})")
_MAX_VERSION = 2**63 - 1


@dataclass(frozen=True)
class Version:
    """A version on disk.

    `fingerprint` changes whenever one of its files does: each file's path, size in bytes and time of change in ns.
    """

    number: int
    path: Path
    fingerprint: tuple[tuple[str, int, int], ...]

    @property
    def changed_at(self) -> float:
        """When the newest of its files was written, in seconds since 1970."""
        return max(changed for _, _, changed in self.fingerprint) / 1e9


def find(base: Path) -> list[Version]:
    """The complete versions below `base`, the highest number first. An unreadable folder holds none."""
    versions: dict[int, Version] = {}
    for number, path in _candidates(base):
        try:
            fingerprint = _fingerprint(path)
        except OSError as error:  # a file was removed meanwhile: the next check finds it
            log.debug("%s changes while it is read: %s", path, error)
            continue
        if number in versions:
            log.warning("%s is left out: %s is version %d, too", path, versions[number].path, number)
        elif _complete(fingerprint):
            versions[number] = Version(number, path, fingerprint)
    return [versions[number] for number in sorted(versions, reverse=True)]


def _candidates(base: Path) -> list[tuple[int, Path]]:
    try:
        entries = sorted(base.iterdir())
    except OSError:
        return []
    numbered = [(int(entry.name), entry) for entry in entries if entry.name.isascii() and entry.name.isdigit()]
    numbered = [(number, entry) for number, entry in numbered if number <= _MAX_VERSION and entry.is_dir()]
    return numbered or [(1, base)]


def _fingerprint(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Only files of a SavedModel count: a base folder may hold other files beside it."""
    found = []
    for file in _model_files(path):
        seen = file.stat()
        found.append((file.relative_to(path).as_posix(), seen.st_size, seen.st_mtime_ns))
    return tuple(sorted(found))


def _model_files(path: Path) -> Iterator[Path]:
    yield from (path / name for name in _FILES if (path / name).is_file())
    for folder in _FOLDERS:
        for parent, _, names in os.walk(path / folder):
            yield from (Path(parent, name) for name in names)


def _complete(fingerprint: tuple[tuple[str, int, int], ...]) -> bool:
    """Whether a graph is there, and with variables their index and all of their shards."""
    sizes = {name: size for name, size, _ in fingerprint}
    if not any(sizes.get(graph) for graph in _GRAPHS):
        return False
    shards: dict[tuple[str, int], int] = {}
    for name in sizes:
        matched = _SHARD.fullmatch(name)
        if matched:
            key = matched["prefix"], int(matched["count"])
            shards[key] = shards.get(key, 0) + 1
    indexes = [name for name in sizes if name.startswith("variables/") and name.endswith(".index")]
    return all(
        present == count and f"{prefix}.index" in sizes for (prefix, count), present in shards.items()
    ) and all(any(prefix == index.removesuffix(".index") for prefix, _ in shards) for index in indexes)
