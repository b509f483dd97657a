"""Paths in the notebook -> places on the user's home claim: what a model server's pod can mount.

Reads the file system only. Refuses a path that, with symbolic links followed, is not on the claim or has no
SavedModel that can be served.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.k8s.names import HOME_MOUNT
from kf_spawner.serving import saved_model
from kf_spawner.workloads.errors import RequestError

from . import other_model, saved_model_file

# An address, also one whose slashes pathlib has joined. A single letter is no scheme.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a SavedModel or with numbered versions of one: `sub_path` is relative to the root of `claim`.

    Both sentences are mostly empty: `skipped` says why a version is served that is not the newest, `foreign_ops` what
    the image of the model server must have.
    """

    claim: str
    sub_path: str
    skipped: str = ""
    foreign_ops: str = ""


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
    models = _models(folder, root)
    if not models:
        raise _path_error(422, "NoSavedModel", f"{path} {other_model.of_folder(folder)}")
    newest = ""
    for model in models:
        problem, foreign_ops = _judged(model)
        if not problem:
            skipped = f"{newest}. So version {model.name} is served" if newest else ""
            return ModelFolder(claim, str(folder.relative_to(root)), skipped, foreign_ops)
        newest = newest or f"{'it' if model == folder else f'version {model.name}'} {problem}"
    raise _path_error(422, "NotServable", f"{path} cannot be served: {newest}")


def _under_home(path: str, home: str) -> str:
    if path == "~" or path.startswith("~/"):
        path = path[2:]
    # A node may show the home to a process under another path than the container's.
    if path == HOME_MOUNT or path.startswith(HOME_MOUNT + "/"):
        path = path[len(HOME_MOUNT) :].lstrip("/")
    return os.path.join(home, path)


def _models(folder: Path, root: Path) -> list[Path]:
    """The SavedModels that a model server finds in `folder`: numbered versions, the highest first, or itself."""
    versions = [child for child in folder.iterdir() if child.name.isdecimal() and _is_saved_model(child, root)]
    if not versions and _is_saved_model(folder, root):
        return [folder]
    return sorted(versions, key=lambda version: int(version.name), reverse=True)


def _judged(model: Path) -> tuple[str, str]:
    """Why it cannot be served, and the ops of it that TensorFlow does not have. Empty for what is not judged here."""
    try:
        graphs = saved_model_file.read(model / "saved_model.pb")
    except FileNotFoundError:  # saved_model.pbtxt
        return "", ""
    except saved_model_file.TooLargeError:
        return "", ""
    except saved_model_file.DamagedError as error:
        return f"is damaged or not complete ({error}): copy or export it again", ""
    return saved_model.problem(graphs), saved_model.foreign_ops(graphs)


def _is_saved_model(folder: Path, root: Path) -> bool:
    """A link out of the volume is not a model: the model server cannot follow it."""
    files = (Path(os.path.realpath(folder / name)) for name in ("saved_model.pb", "saved_model.pbtxt"))
    return any(file.is_file() and file.is_relative_to(root) for file in files)


def _path_error(status: int, reason: str, message: str) -> RequestError:
    return RequestError(status, reason, message, field="path")
