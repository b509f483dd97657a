"""A path without a SavedModel is told what is there instead, and what to do."""

from pathlib import Path

import pytest

from kf_spawner.extension.model_folder import ModelFolder, model_folder
from kf_spawner.workloads.errors import RequestError
from tests.fixtures.saved_model import saved_model

FILES = {
    "keras/model.keras": ("~/keras", "model.keras is a Keras file", "model.export(path + '/1')"),
    "h5/model.H5": ("~/h5", "model.H5 is a Keras file", "load_model"),
    "weights/a.weights.h5": ("~/weights", "the weights of a Keras model", "model.export"),
    "lite/a.tflite": ("~/lite", "a.tflite is a TensorFlow Lite model", "model.export"),
    "checkpoint/ckpt-1.index": ("~/checkpoint", "ckpt-1.index is a checkpoint", "restore it"),
    "packed/model.tar.gz": ("~/packed", "model.tar.gz is an archive", "unpack it"),
    "dotted/v0.1/saved_model.pb": ("~/dotted", "v0.1/ is none", "rename it, for example to 1"),
    "copied/1.tmp/saved_model.pb": ("~/copied", "1.tmp/ is none", "Once it is complete, rename it"),
    "above/digits/1/saved_model.pb": ("~/above", "digits/ in it does", "give that folder"),
    "text/notes.txt": ("~/text", "neither saved_model.pb nor a version folder", "tf.saved_model.save"),
    "one.keras": ("~/one.keras", "one.keras is a Keras file", "model.export"),
    "graph/saved_model.pb": ("~/graph/saved_model.pb", "a file of a SavedModel", "the folder that it is in"),
    "x.txt": ("~/x.txt", "is a file", "the folder that the model was exported to"),
}


def refusal(path: str, home: Path) -> str:
    with pytest.raises(RequestError) as caught:
        model_folder(path, home=str(home), claim="home")
    assert caught.value.field == "path"
    return caught.value.message


@pytest.mark.parametrize(("file", "case"), FILES.items(), ids=FILES)
def test_what_is_there_instead_is_named(file, case, tmp_path):
    (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / file).touch()
    path, *words = case
    for part in words:
        assert part in refusal(path, tmp_path)


@pytest.mark.parametrize("path", ["s3://bucket/model", "gs:/bucket/model", "https://a.example/model.tar.gz"])
def test_an_address_is_not_supported_yet(path, tmp_path):
    """pathlib leaves one slash."""
    message = refusal(path, tmp_path)
    assert f"{path} is not on the home volume" in message
    assert path.partition(":")[0] + ":// yet: copy the model to a folder on the home volume" in message


def test_a_folder_that_only_looks_like_an_address_is_one(tmp_path):
    (tmp_path / "a:b" / "1").mkdir(parents=True)
    (tmp_path / "a:b" / "1" / "saved_model.pb").write_bytes(saved_model())
    assert model_folder("~/a:b", home=str(tmp_path), claim="home") == ModelFolder("home", "a:b")
