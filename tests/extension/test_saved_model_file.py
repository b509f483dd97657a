"""What is told of a `saved_model.pb` before anything is made. Files of TensorFlow: `tests/model_server`."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kf_spawner.extension import saved_model_file
from kf_spawner.extension.model_folder import model_folder
from kf_spawner.extension.saved_model_file import DamagedError, TooLargeError
from kf_spawner.serving.saved_model import GraphFacts
from kf_spawner.workloads.errors import RequestError
from tests.fixtures.saved_model import field, saved_model

WHOLE = saved_model(ops=["MatMul", "Addons>Gelu"])


def write(folder, content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(content)
    return folder / "saved_model.pb"


def read(tmp_path, content):
    return saved_model_file.read(write(tmp_path, content))


def check(home):
    """What is said of the model in `home/m`: the refusal, else the warning."""
    try:
        found = model_folder("~/m", home=str(home), claim="home")
        return found.skipped or found.foreign_ops
    except RequestError as error:
        return error.message


def test_the_facts_of_a_graph_are_read(tmp_path):
    facts = GraphFacts(frozenset({"serve"}), frozenset({"serving_default"}), frozenset({"MatMul", "Addons>Gelu"}))
    assert read(tmp_path, WHOLE) == [facts]


def test_a_part_of_a_file_is_never_taken_for_the_whole(tmp_path):
    for size in range(len(WHOLE)):
        with pytest.raises(DamagedError):
            read(tmp_path, WHOLE[:size])


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = write(tmp_path_factory.getbasetemp() / "any", content)
    with contextlib.suppress(DamagedError, TooLargeError):
        saved_model_file.read(path)


def test_a_hostile_file_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model_file, "MOST_FIELDS", 1000)
    with pytest.raises(TooLargeError):
        read(tmp_path, field(2, b"\x08\x01" * 2000))
    with pytest.raises(TooLargeError):
        read(tmp_path, saved_model(tags=["x" * 5000]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (saved_model(), ""),
        (saved_model(tags=["serve", "gpu"]), ""),
        (
            saved_model(tags=["train"]),
            "~/m cannot be served: version 2 has no graph with the tag serve (the tags are",
        ),
        (saved_model(signatures=[]), "~/m cannot be served: version 2 has no signature to call: save it with"),
        (b"no graph", "~/m cannot be served: version 2 is damaged or not complete"),
        (saved_model(ops=["Addons>Gelu", "MatMul"]), "does not have (tensorflow-addons): Addons>Gelu."),
        (saved_model(ops=["SentencepieceOp"]), "(tensorflow-text): SentencepieceOp."),
        (saved_model(ops=["Mine>Op"]), "TensorFlow itself does not have: Mine>Op."),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_and_foreign_ops_are_named(tmp_path, content, words):
    write(tmp_path / "m" / "2", content)
    said = check(tmp_path)
    assert words in said if words else said == ""


def test_an_older_version_that_can_be_served_is_enough_and_told(tmp_path):
    write(tmp_path / "m" / "10", saved_model(signatures=[]))
    write(tmp_path / "m" / "9", saved_model())
    said = check(tmp_path)
    assert said.startswith("version 10 has no signature to call")
    assert said.endswith(". So version 9 is served")


def test_what_is_not_read_is_left_to_the_model_server(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_model_file, "MOST_FIELDS", 3)
    write(tmp_path / "m", saved_model(signatures=[]))
    assert check(tmp_path) == ""
    (tmp_path / "m" / "saved_model.pb").rename(tmp_path / "m" / "saved_model.pbtxt")
    assert check(tmp_path) == ""
