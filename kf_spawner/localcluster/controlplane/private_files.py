"""Files that only their owner can read, written whole or not at all. Knows nothing of what is in them."""

import os
import tempfile
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def private_folder(path: Path) -> Path:
    """`path` as a folder (parents too) that only the owner can enter; an existing one is narrowed to that."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    path.chmod(PRIVATE_FOLDER)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Put `content` at `path`, mode 0600, durable before the name appears: a reader sees the old file or the new."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_private_if_changed(path: Path, content: bytes) -> bool:
    """As `write_private`, but leaves a file alone that already says so (its mode is narrowed). True: written."""
    if path.is_file() and path.read_bytes() == content:
        path.chmod(PRIVATE_FILE)
        return False
    write_private(path, content)
    return True
