"""Which folders count as versions, and which of them are complete."""

import os
from pathlib import Path

import pytest

from kf_spawner.model_server.versions import find


def model(path: Path, *, shards: int = 1, graph: bytes = b"graph") -> Path:
    (path / "variables").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(graph)
    (path / "variables" / "variables.index").write_bytes(b"index")
    for shard in range(shards):
        (path / "variables" / f"variables.data-{shard:05}-of-{shards:05}").write_bytes(b"data")
    return path


def numbers(base: Path) -> list[int]:
    return [version.number for version in find(base)]


def test_numbered_folders_highest_first(tmp_path: Path) -> None:
    for name in ("1", "2", "10", "00000123"):
        model(tmp_path / name)
    for name in ("v3", "latest", "-4", "5.0", "²", str(2**63), "tmp"):
        model(tmp_path / name)
    assert numbers(tmp_path) == [123, 10, 2, 1]


def test_a_folder_that_is_a_model_is_version_1(tmp_path: Path) -> None:
    assert [(v.number, v.path) for v in find(model(tmp_path / "digits"))] == [(1, tmp_path / "digits")]


def test_version_folders_win_over_the_base(tmp_path: Path) -> None:
    model(tmp_path)
    model(tmp_path / "7")
    assert numbers(tmp_path) == [7]


def test_one_version_of_a_number(tmp_path: Path) -> None:
    model(tmp_path / "01")
    model(tmp_path / "1")
    assert [version.path.name for version in find(tmp_path)] == ["01"]


def test_nothing_there(tmp_path: Path) -> None:
    assert numbers(tmp_path) == []
    assert numbers(tmp_path / "nowhere") == []
    (tmp_path / "file").write_text("")
    assert numbers(tmp_path / "file") == []


@pytest.mark.parametrize(
    "missing",
    [
        "saved_model.pb",
        "variables/variables.index",
        "variables/variables.data-00000-of-00002",
        "variables/variables.data-00001-of-00002",
    ],
)
def test_incomplete(tmp_path: Path, missing: str) -> None:
    path = model(tmp_path / "1", shards=2)
    assert numbers(tmp_path) == [1]
    (path / missing).unlink()
    assert numbers(tmp_path) == []


def test_only_an_index_is_incomplete(tmp_path: Path) -> None:
    (model(tmp_path / "1") / "variables" / "variables.data-00000-of-00001").unlink()
    assert numbers(tmp_path) == []


def test_an_empty_graph_is_incomplete(tmp_path: Path) -> None:
    model(tmp_path / "1", graph=b"")
    assert numbers(tmp_path) == []


def test_no_variables_at_all_is_complete(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"graph")
    assert numbers(tmp_path) == [1]


def test_the_fingerprint_changes_with_every_file_and_with_no_other(tmp_path: Path) -> None:
    path = model(tmp_path / "1")
    before = find(tmp_path)[0]
    (path / "notes.txt").write_text("not the model's")
    assert find(tmp_path)[0] == before
    os.utime(path / "variables" / "variables.index", ns=(1, before.fingerprint[0][2] + 1))
    after = find(tmp_path)[0]
    assert after != before
    (path / "assets").mkdir()
    (path / "assets" / "words.txt").write_text("a")
    assert find(tmp_path)[0] != after
