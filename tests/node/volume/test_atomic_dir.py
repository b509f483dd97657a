"""Files that change all at once, and trees that go although somebody made them unwritable."""

import os
from pathlib import Path

import pytest

from kf_spawner.localcluster.node.volume.atomic_dir import (
    Content,
    read_payload,
    remove_tree,
    write_payload,
    write_private,
)


def test_files_are_links_through_the_data_link_with_their_modes(tmp_path):
    volume = tmp_path / "volume"
    assert write_payload(volume, {"a": Content(b"1", 0o640), "sub/b": Content(b"2", 0o400)})
    assert (volume / "a").read_bytes() == b"1"
    assert (volume / "sub" / "b").read_bytes() == b"2"
    assert os.readlink(volume / "a") == "..data/a"
    assert os.readlink(volume / "..data").startswith("..2")
    assert (volume / "a").stat().st_mode & 0o777 == 0o640
    assert (volume / "sub" / "b").stat().st_mode & 0o777 == 0o400
    assert volume.stat().st_mode & 0o777 == 0o700


def test_an_update_shows_new_files_and_removes_old_ones(tmp_path):
    write_payload(tmp_path, {"a": Content(b"1"), "gone": Content(b"x")})
    assert write_payload(tmp_path, {"a": Content(b"2"), "new/deep": Content(b"y")})
    assert sorted(entry.name for entry in tmp_path.iterdir() if not entry.name.startswith("..")) == ["a", "new"]
    assert len([entry for entry in tmp_path.iterdir() if entry.name.startswith("..2")]) == 1
    assert (tmp_path / "a").read_bytes() == b"2"


def test_the_same_files_are_not_written_again(tmp_path):
    payload = {"a": Content(b"1"), "sub/b": Content(b"2", 0o600)}
    write_payload(tmp_path, payload)
    before = os.readlink(tmp_path / "..data")
    assert not write_payload(tmp_path, payload)
    assert os.readlink(tmp_path / "..data") == before
    assert write_payload(tmp_path, {**payload, "sub/b": Content(b"2", 0o644)}), "a mode is content, too"
    assert read_payload(tmp_path)["sub/b"].mode == 0o644


def test_what_a_crash_left_behind_is_repaired(tmp_path):
    write_payload(tmp_path, {"a": Content(b"1")})
    (tmp_path / "..2020_01_01_00_00_00.1").mkdir()
    (tmp_path / "..data_tmp").symlink_to("..2020_01_01_00_00_00.1")
    (tmp_path / "a").unlink()
    assert write_payload(tmp_path, {"a": Content(b"1")})
    assert (tmp_path / "a").read_bytes() == b"1"
    assert not (tmp_path / "..2020_01_01_00_00_00.1").exists()
    assert not os.path.lexists(tmp_path / "..data_tmp")


def test_the_old_files_are_in_view_until_the_new_ones_are(tmp_path, monkeypatch):
    write_payload(tmp_path, {"a": Content(b"1"), "b": Content(b"1")})
    seen = []
    rename = Path.rename

    def watched(path, target):
        seen.append([(tmp_path / name).read_bytes() for name in "ab"])
        rename(path, target)
        seen.append([(tmp_path / name).read_bytes() for name in "ab"])

    monkeypatch.setattr(Path, "rename", watched)
    write_payload(tmp_path, {"a": Content(b"2"), "b": Content(b"2")})
    assert seen == [[b"1", b"1"], [b"2", b"2"]]


def test_a_private_file_is_its_owners_alone(tmp_path):
    write_private(tmp_path / "token", b"x")
    write_private(tmp_path / "token", b"y")
    assert (tmp_path / "token").read_bytes() == b"y"
    assert (tmp_path / "token").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_a_tree_goes_with_unwritable_folders_and_without_what_its_links_name(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    tree = tmp_path / "tree"
    (tree / "locked" / "deep").mkdir(parents=True)
    (tree / "locked" / "deep" / "file").touch()
    (tree / "link").symlink_to(outside)
    (tree / "locked" / "deep").chmod(0o500)
    (tree / "locked").chmod(0o000)
    remove_tree(tree)
    assert not tree.exists()
    assert (outside / "file").exists()
    remove_tree(tree)


@pytest.mark.parametrize("target", ["outside", "nowhere"])
def test_a_link_goes_and_its_target_stays(tmp_path, target):
    (tmp_path / "outside").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / target)
    remove_tree(tmp_path / "link")
    assert not os.path.lexists(tmp_path / "link")
    assert (tmp_path / "outside").exists()
