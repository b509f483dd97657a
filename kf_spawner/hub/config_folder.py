"""A folder of configuration that changes the hub's own. Knows neither chart nor cluster.

`settings.json` sets traits, `additions.json` appends to lists. Then each `*.py` runs with `c`, in the order of names.
"""

import json
import runpy
from pathlib import Path
from typing import Any

from traitlets.config import Config


class BadConfiguration(Exception):
    """A file of the folder cannot be used. The message names the file and the problem."""


def apply_folder(config: Config, name: str) -> None:
    """Changes `config` in place as the files of the folder `name` say; nothing where the name is empty.

    Raises BadConfiguration, and what a `*.py` raises.
    """
    if not name:
        return
    folder = Path(name)
    if not folder.is_dir():
        raise BadConfiguration(f"KF_CONFIG_DIR={folder} is not a folder")
    for name, traits in _read(folder / "settings.json").items():
        for trait, value in traits.items():
            config[name][trait] = value
    for name, traits in _read(folder / "additions.json").items():
        for trait, values in traits.items():
            present = config[name].get(trait, [])
            config[name][trait] = [*present, *values]
    for path in sorted(folder.glob("*.py")):
        runpy.run_path(str(path), init_globals={"c": config, "get_config": lambda: config})


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Class -> trait -> value; empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        read = json.loads(path.read_text())
    except ValueError as error:
        raise BadConfiguration(f"{path} is not JSON: {error}") from error
    if not isinstance(read, dict) or not all(isinstance(traits, dict) for traits in read.values()):
        raise BadConfiguration(f"{path}: give an object of objects: class, trait, value")
    return read
