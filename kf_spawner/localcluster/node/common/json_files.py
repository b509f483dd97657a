"""Small private JSON files: a write replaces the whole file or nothing."""

import json
import os
from pathlib import Path
from typing import Any


def write_json(path: Path, value: Any) -> None:
    """Replaces `path` in one step; only the owner can read it, because it may hold secrets of a pod."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "w") as file:
        json.dump(value, file)
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """The content of `path`, or None if the file does not exist."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None
