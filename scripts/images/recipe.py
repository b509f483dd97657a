"""What a Dockerfile of images/ says about where it begins: its ARG lines with a default. Pure but for reading it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "images"

BASES = ("BASE", "PYTHON36", "CUDA")
"""Arguments that name an image to begin from."""


@dataclass(frozen=True)
class Recipe:
    """An image to build: its name and, by argument, the public images that it begins from."""

    name: str
    dockerfile: Path
    bases: dict[str, str]
    gpu: bool
    shares: frozenset[str]
    """The images of which it has layers."""


def recipes(images: Path = IMAGES) -> dict[str, Recipe]:
    """Every image of the folder by name, the hub's first: the others are useless without it."""
    found = [read(path) for path in sorted(images.glob("*/Dockerfile"))]
    return {recipe.name: recipe for recipe in sorted(found, key=lambda recipe: (recipe.name != "hub", recipe.name))}


def read(dockerfile: Path) -> Recipe:
    """The recipe in a Dockerfile, and in the description beside it where there is one."""
    text, name = dockerfile.read_text(), dockerfile.parent.name
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    description = dockerfile.with_name("image.json")
    return Recipe(
        name=name,
        dockerfile=dockerfile,
        bases={name: arguments[name] for name in BASES if name in arguments},
        gpu=description.exists() and json.loads(description.read_text())["gpu"],
        # The image whose packages it installs first, in a separate layer.
        shares=frozenset(re.findall(r"images/([\w.-]+)/requirements\.txt", text)) - {name},
    )
