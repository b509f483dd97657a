"""The hub's database when a new version brings another schema: upgraded, with a copy; or left alone."""

import sqlite3
from pathlib import Path

import alembic.command
import pytest
from alembic.config import Config
from jupyterhub import dbutil, orm
from traitlets.config import PyFileConfigLoader

from tests.fixtures.bare_hub import ROOT
from tests.fixtures.hub import ProductHub

pytestmark = pytest.mark.asyncio(loop_scope="session")


def old_database(file: Path) -> str:
    """Makes a database of JupyterHub's last schema but one; that schema's revision."""
    url = f"sqlite:///{file}"
    orm.new_session_factory(url)
    with dbutil._temp_alembic_ini(url) as ini:
        alembic.command.downgrade(Config(ini), "-1")
    return revision(file)


def revision(file: Path) -> str:
    with sqlite3.connect(file) as database:
        ((found,),) = database.execute("SELECT version_num FROM alembic_version")
    return found


async def test_sqlite_is_upgraded_and_a_copy_kept(control_plane, tmp_path):
    file = tmp_path / "jupyterhub.sqlite"
    old = old_database(file)
    async with ProductHub(tmp_path, control_plane):
        assert revision(file) != old
    (copy,) = tmp_path.glob("jupyterhub.sqlite.*")
    assert revision(copy) == old


@pytest.mark.parametrize(("url", "upgraded"), [("sqlite:///hub.sqlite", True), ("postgresql://u:p@host/hub", False)])
async def test_one_of_which_no_copy_is_made_is_left_to_the_administrator(monkeypatch, url, upgraded):
    monkeypatch.setenv("KF_HUB_DB", url)
    config = PyFileConfigLoader(str(ROOT / "jupyterhub_config.py")).load_config()
    assert config.JupyterHub.upgrade_db is upgraded
