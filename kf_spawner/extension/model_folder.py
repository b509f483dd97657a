"""Paths in the notebook -> places on the user's home claim: what a model server's pod can mount.

Reads the file system only. Refuses a path that, with symbolic links followed, is not on the claim or has no
SavedModel.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.k8s.names import HOME_MOUNT
from kf_spawner.workloads.errors import RequestError

from . import other_model

# An address, also one whose slashes pathlib has joined. A single letter is no scheme.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a SavedModel or with numbered versions of one: `sub_path` is relative to the root of `claim`."""

    claim: str
    sub_path: str


def model_folder(path: object, *, home: str | None, claim: str | None) -> ModelFolder:
    """Where `path` (absolute, or relative to the home directory) lies on `claim`, which is mounted at `home`.

    Raises RequestError, whose field is `path`.
    """
    if not isinstance(path, str) or not path.strip():
        raise _path_error(400, "BadRequest", "is missing: give the folder of a SavedModel, such as ~/models/digits")
    if "\0" in path:
        raise _path_error(400, "BadRequest", "holds a null character: give the folder of a SavedModel")
    if elsewhere := _ADDRESS.match(path):
        raise _path_error(
            422,
            "NotOnVolume",
            f"{path} is not on the home volume, and models cannot be read from {elsewhere[1]}:// yet: copy the model "
            "to a folder on the home volume first, and give that folder",
        )
    if not home or not claim:
        raise _path_error(
            422,
            "NoVolume",
            "this notebook server has no home volume, so no other pod can read the model: start a server with one",
        )
    try:
        return _on_volume(path, home, claim)
    except OSError as error:
        raise _path_error(422, "NoSavedModel", f"{path} cannot be read: {error.strerror}") from error


def _on_volume(path: str, home: str, claim: str) -> ModelFolder:
    root = Path(os.path.realpath(home))
    folder = Path(os.path.realpath(_under_home(path, home)))
    if not folder.is_relative_to(root):
        raise _path_error(
            422, "OutsideVolume", f"{path} is not on the home volume ({home}): export the model to a folder below it"
        )
    if not folder.is_dir():
        missing = "does not exist: give the folder that the model was exported to"
        what = other_model.of_file(folder) if folder.exists() else missing
        raise _path_error(422, "NoSavedModel", f"{path} {what}")
    if folder == root:
        raise _path_error(422, "NoSavedModel", f"{path} is the home directory: move the model to a folder below it")
    if not _holds_model(folder, root):
        raise _path_error(422, "NoSavedModel", f"{path} {other_model.of_folder(folder)}")
    return ModelFolder(claim=claim, sub_path=str(folder.relative_to(root)))


def _under_home(path: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        path = path[2:]
    # A node may show the home to a process under another path than the container's.
    if path == HOME_MOUNT or path.startswith(HOME_MOUNT + "/"):
        path = path[len(HOME_MOUNT) :].lstrip("/")
    return os.path.join(home, path)


def _holds_model(folder: Path, root: Path) -> bool:
    """Whether `folder` is a SavedModel, or holds numbered versions of one."""
    versions = (child for child in folder.iterdir() if child.name.isdecimal())
    return _is_saved_model(folder, root) or any(_is_saved_model(version, root) for version in versions)


def _is_saved_model(folder: Path, root: Path) -> bool:
    """A link out of the volume is not a model: the model server cannot follow it."""
    files = (Path(os.path.realpath(folder / name)) for name in ("saved_model.pb", "saved_model.pbtxt"))
    return any(file.is_file() and file.is_relative_to(root) for file in files)


def _path_error(status: int, reason: str, message: str) -> RequestError:
    return RequestError(status, reason, message, field="path")
