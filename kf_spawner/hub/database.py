"""The hub's database: who may read it, and whether JupyterHub may change its schema by itself."""

import logging
from pathlib import Path

from sqlalchemy.engine import make_url

log = logging.getLogger(__name__)


def is_copied_before_upgrade(url: str) -> bool:
    """Whether JupyterHub copies the database before it upgrades the schema. It does so for SQLite alone.

    `url` as SQLAlchemy writes it.
    """
    return url.startswith("sqlite")


def keep_private(url: str) -> None:
    """Lets nobody but its owner read an SQLite database: it has users' names, tokens' digests and scopes.

    The file is made if there is none, because SQLite would make one that all can read. SQLite's journal gets the
    file's mode, and so does JupyterHub's copy; the copies of earlier versions are changed as well.
    """
    file = _file_of(url)
    if file is None or not file.parent.is_dir():
        return
    file.touch(mode=0o600)
    for each in (file, *file.parent.glob(f"{file.name}[.-]*")):
        try:
            each.chmod(0o600)
        except PermissionError:
            log.warning("others may read %s, which belongs to another user: run chmod 600 on it", each)


def _file_of(url: str) -> Path | None:
    """The file of an SQLite database; None for another one, and for one in memory."""
    path = make_url(url).database if url.startswith("sqlite") else None
    return Path(path) if path and not path.startswith((":", "file:")) else None
