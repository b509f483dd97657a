"""The images a user can choose from: read from their descriptions, in the order in which a form shows them.

Owns what an image of the catalogue is. Reads the `image.json` files once, at the hub's start; pure otherwise.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class CatalogueError(Exception):
    """An image's description cannot be used: names the file or entry, and what is wrong with it."""


@dataclass(frozen=True)
class Image:
    """One choice. `name` is what options and form carry, `reference` what the pod runs."""

    name: str
    reference: str
    description: str = ""
    tensorflow: str = ""
    python: str = ""
    gpu: bool = False

    @property
    def title(self) -> str:
        """What a user reads: `TensorFlow 2.21.0`, or the image's name where it has no TensorFlow."""
        return f"TensorFlow {self.tensorflow}" if self.tensorflow else self.name


_FIELDS: dict[str, type] = {
    "name": str,
    "reference": str,
    "description": str,
    "tensorflow": str,
    "python": str,
    "gpu": bool,
}


def from_entries(entries: list[dict[str, Any]]) -> tuple[Image, ...]:
    """The catalogue of a list of dicts with the fields of Image. Raises CatalogueError for a wrong one."""
    images: dict[str, Image] = {}
    for entry in entries:
        label = f"image {entry.get('name') or entry!r}"
        for field, value in entry.items():
            if field not in _FIELDS:
                raise CatalogueError(f"{label}: there is no field {field!r}; there are {', '.join(_FIELDS)}")
            if not isinstance(value, _FIELDS[field]):
                raise CatalogueError(f"{label}: {field} must be a {_FIELDS[field].__name__}, not {value!r}")
        for field in ("name", "reference"):
            if not entry.get(field):
                raise CatalogueError(f"{label}: {field} is missing")
        if entry["name"] in images:
            raise CatalogueError(f"{label} is there twice")
        images[entry["name"]] = Image(**entry)
    return tuple(sorted(images.values(), key=_order))


def read_folder(folder: Path, *, registry: str, repository: str, tag: str) -> list[dict[str, Any]]:
    """Entries of the notebook images that `folder/<name>/image.json` describe; other kinds are left out.

    An image's reference is `{registry}/{repository}/{name}:{tag}`, without the parts that are empty.
    """
    files = sorted(folder.glob("*/image.json"))
    if not files:
        raise CatalogueError(f"no images are described in {folder}: set KF_IMAGES_DIR to the folder that holds them")
    entries = []
    for file in files:
        try:
            described = json.loads(file.read_text())
        except ValueError as error:
            raise CatalogueError(f"{file} is not JSON: {error}") from error
        if described.get("kind", "notebook") != "notebook":
            continue
        entry = {field: described[field] for field in _FIELDS if field in described}
        entry["reference"] = reference(entry.get("name", ""), registry=registry, repository=repository, tag=tag)
        entries.append(entry)
    return entries


def reference(name: str, *, registry: str, repository: str, tag: str) -> str:
    """An image's reference: `docker.io/kf-spawner/model-server:0.1.0`."""
    return "/".join(part.strip("/") for part in (registry, repository, name) if part) + f":{tag}"


def _order(image: Image) -> tuple[bool, tuple[int, ...], bool, str]:
    """Newest TensorFlow first, CPU before GPU; what has no TensorFlow comes last."""
    version = tuple(-int(number) for number in re.findall(r"\d+", image.tensorflow))
    return (not version, version, image.gpu, image.name)
