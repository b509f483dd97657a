"""What a path that holds no SavedModel holds instead, and what to do about it: a sentence for the user.

Reads names in the file system, no contents.
"""

import itertools
import os
from pathlib import Path

MOST_ENTRIES = 200
"""Entries of a folder that are looked at."""

_EXPORT = "export it as a SavedModel with model.export(path + '/1')"
_KERAS = f"a Keras file, which is not served as it is: load it with keras.models.load_model, and {_EXPORT}"
_ARCHIVE = "an archive: unpack it, and give the folder with saved_model.pb"
_KINDS = (
    (".weights.h5", f"the weights of a Keras model, without the model: build the model, load them, and {_EXPORT}"),
    (".keras", _KERAS),
    (".h5", _KERAS),
    (".hdf5", _KERAS),
    (".tflite", f"a TensorFlow Lite model, which is for devices: take the model that it was made of, and {_EXPORT}"),
    (".index", f"a checkpoint, which has no graph: build the model, restore it, and {_EXPORT}"),
    *((end, _ARCHIVE) for end in (".zip", ".tar", ".tar.gz", ".tgz")),
)
_GRAPHS = ("saved_model.pb", "saved_model.pbtxt")


def of_file(file: Path) -> str:
    """What a file is, if it was given in place of a folder."""
    if file.name in _GRAPHS:
        return "is a file of a SavedModel: give the folder that it is in"
    kind = _kind(file.name)
    return f"is {kind}" if kind else "is a file: give the folder that the model was exported to"


def of_folder(folder: Path) -> str:
    """What a folder holds instead, if it has no SavedModel and no versions of one on the home volume."""
    names = _names(folder)
    for name in names:
        child = folder / name
        if _is_saved_model(child) and name.isdecimal():
            return f"holds no SavedModel that other pods can read: {name}/ leads off the home volume"
        if _is_saved_model(child):
            return (
                f"holds no version that can be served: the name of a version's folder is a whole number, and {name}/ "
                "is none. Once it is complete, rename it, for example to 1"
            )
        if any(version.isdecimal() and _is_saved_model(child / version) for version in _names(child)):
            return f"holds no SavedModel, but {name}/ in it does: give that folder"
    for name in names:
        if kind := _kind(name):
            return f"holds no SavedModel: {name} is {kind}"
    return (
        "holds no SavedModel: neither saved_model.pb nor a version folder such as 1/saved_model.pb; "
        "export one with tf.saved_model.save(model, path + '/1') or, for Keras, model.export(path + '/1')"
    )


def _kind(name: str) -> str | None:
    return next((kind for end, kind in _KINDS if name.lower().endswith(end)), None)


def _is_saved_model(folder: Path) -> bool:
    return any(os.path.isfile(folder / graph) for graph in _GRAPHS)


def _names(folder: Path) -> list[str]:
    """The names in a folder; none if it is no folder or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in itertools.islice(entries, MOST_ENTRIES))
    except OSError:
        return []
