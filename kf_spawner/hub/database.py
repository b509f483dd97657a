"""The hub's database: whether JupyterHub may change its schema by itself."""


def is_copied_before_upgrade(url: str) -> bool:
    """Whether JupyterHub copies the database before it upgrades the schema. It does so for SQLite alone.

    `url` as SQLAlchemy writes it.
    """
    return url.startswith("sqlite")
