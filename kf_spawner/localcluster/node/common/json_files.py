"""Small private files: written whole or not at all, read or absent."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` in one step; only its owner can read it (it may hold a pod's secrets)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """What `path` holds, or None when it is not there."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
