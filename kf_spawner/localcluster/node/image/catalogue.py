"""The catalogue of images: reads the folders images/<name>/ and parses references to images.

Knows nothing of how an image is built or run. Its only I/O is reading the small files of the catalogue.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
REFERENCE = re.compile(
    rf"(?:(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]+)?)/)?(?P<path>(?:{PATH_PART}/)*)(?P<name>{PATH_PART})"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
)


class ImageError(Exception):
    """An image is not available. `reason` is the word of a kubelet; the message says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """One virtual environment of an image."""

    folder: str
    pythons: tuple[str, ...]
    """The minor versions of Python that the pins are for, the Dockerfile's first."""
    requirements: Path
    files: tuple[Path, ...]
    """Folders to copy over the prefix of the environment, in this order."""
    remove: tuple[str, ...]
    """Globs, relative to the prefix, of files to remove after the installation."""


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """The content of images/<name>/image.json. `environments` are in the order of PATH."""

    name: str
    folder: Path
    gpu: bool
    notebook: bool
    """Whether users work in it: it starts in the environment of a user's own packages."""
    container_only: str
    """Why only the Dockerfile can build the image; empty if the node can build it too."""
    cmd: tuple[str, ...]
    environments: tuple[EnvironmentSpec, ...]


def load_catalogue(folder: Path) -> dict[str, ImageSpec]:
    """Every image below `folder` by name. Raises ValueError, which names the wrong file."""
    specs = {}
    for path in sorted(folder.glob("*/image.json")):
        try:
            spec = parse_image(json.loads(path.read_text()), folder=path.parent)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not describe an image: {error!r}") from error
        specs[spec.name] = spec
    return specs


def parse_image(content: Mapping[str, Any], *, folder: Path) -> ImageSpec:
    """Parses `content`; its paths are relative to the `folder` of the image."""
    if content["name"] != folder.name:
        raise ValueError(f"name is {content['name']!r} and the folder {folder.name!r}; make them the same")
    return ImageSpec(
        name=content["name"],
        folder=folder,
        gpu=content["gpu"],
        notebook=content["kind"] == "notebook",
        container_only=content.get("container_only", ""),
        cmd=tuple(content["cmd"]),
        environments=tuple(
            EnvironmentSpec(
                folder=item["folder"],
                pythons=tuple(item["pythons"]),
                requirements=folder / item["requirements"],
                files=tuple(folder / name for name in item.get("files", ())),
                remove=tuple(item.get("remove", ())),
            )
            for item in content["environments"]
        ),
    )


def parse_reference(reference: str) -> tuple[str, str]:
    """The image's name and tag ("" without one) in `[registry/][repository/]name[:tag]`."""
    match = REFERENCE.fullmatch(reference)
    if not match:
        raise ImageError(
            "InvalidImageName",
            f'couldn\'t parse image name "{reference}": write [registry/][repository/]name[:tag], in lower case',
        )
    return match["name"], match["tag"] or ""
