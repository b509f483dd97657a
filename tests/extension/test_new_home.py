"""A new home gets the examples; one that is in use is left alone."""

from kf_spawner.extension.new_home import fill_new_home


def test_an_empty_home_gets_examples_and_work(tmp_path):
    (tmp_path / ".jupyter").mkdir()
    assert fill_new_home(tmp_path)
    assert (tmp_path / "work").is_dir()
    assert {"quickstart.ipynb", "tensorflow-1.8.ipynb", "tfjob.yaml"} <= {
        path.name for path in (tmp_path / "examples").iterdir()
    }
    assert (tmp_path / "examples" / "training" / "multi_worker.py").exists()


def test_a_home_in_use_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    assert not fill_new_home(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_seeding_that_was_cut_off_is_done_again(tmp_path):
    (tmp_path / ".examples.part").mkdir()
    (tmp_path / ".examples.part" / "half").touch()
    assert fill_new_home(tmp_path)
    assert not (tmp_path / "examples" / "half").exists()


def test_a_home_that_cannot_be_written_is_no_failure(tmp_path):
    assert not fill_new_home(tmp_path / "missing")
