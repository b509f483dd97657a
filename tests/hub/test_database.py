"""The hub's database when a new version brings another schema: upgraded, with a copy; or left alone."""

import contextlib
import sqlite3
import stat
from pathlib import Path

import alembic.command
import pytest
from alembic.config import Config
from jupyterhub import dbutil, orm
from traitlets.config import PyFileConfigLoader

from kf_spawner.hub.database import keep_private
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
    assert mode(file) == 0o644  # as an earlier version made it
    async with ProductHub(tmp_path, control_plane):
        assert revision(file) != old
        assert {mode(each) for each in tmp_path.glob("jupyterhub.sqlite*")} == {0o600}
    (copy,) = tmp_path.glob("jupyterhub.sqlite.*")
    assert revision(copy) == old


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


async def test_a_new_database_and_its_journal_are_the_hubs_own(tmp_path):
    file, copy, other = (tmp_path / name for name in ("hub.sqlite", "hub.sqlite.2026-01-31-120000", "hub.txt"))
    copy.touch(mode=0o644)
    other.touch(mode=0o644)
    keep_private(f"sqlite:///{file}?timeout=5")
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE users (name TEXT)")
        modes = {each.name: mode(each) for each in tmp_path.iterdir()}
    private = dict.fromkeys(("hub.sqlite", "hub.sqlite-wal", "hub.sqlite-shm", copy.name), 0o600)
    assert modes == {**private, "hub.txt": 0o644}


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://u:p@host/hub"])
async def test_what_is_no_file_is_left_alone(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep_private(url)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("url", "upgraded"), [("sqlite:///hub.sqlite", True), ("postgresql://u:p@host/hub", False)])
async def test_one_of_which_no_copy_is_made_is_left_to_the_administrator(monkeypatch, tmp_path, url, upgraded):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KF_HUB_DB", url)
    monkeypatch.setattr("kf_spawner.hub.one_loop.keep_loop_free", lambda: None)  # it changes the whole process
    config = PyFileConfigLoader(str(ROOT / "jupyterhub_config.py")).load_config()
    assert config.JupyterHub.upgrade_db is upgraded
