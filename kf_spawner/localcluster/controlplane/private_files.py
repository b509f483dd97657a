"""Files that only their owner can read. A write replaces the whole file or nothing."""

import os
import tempfile
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def private_folder(path: Path) -> Path:
    """Creates the folder `path` (and its parents) for the owner only; fixes the mode of an existing one."""
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    path.chmod(PRIVATE_FOLDER)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, mode 0600. A reader sees the old file or the new one, also after a crash."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp uses mode 0600
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
    """As `write_private`, but keeps a file that already has this content (and fixes its mode). True if it wrote."""
    if path.is_file() and path.read_bytes() == content:
        path.chmod(PRIVATE_FILE)
        return False
    write_private(path, content)
    return True
