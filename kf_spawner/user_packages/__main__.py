"""The entry point of a notebook image: makes the user's environment ready, then becomes the server.

    python -I -m kf_spawner.user_packages PROGRAM [ARGUMENT...]

PROGRAM is the image's own, whatever the user has installed. What it starts (kernels, terminals) finds the user's
environment on PATH. Where that cannot be made, or the user wants none of it, the image's Python is there instead.
"""

import os
import shutil
import sys
from collections.abc import Mapping

from .environment import make


def main(argv: "list[str]", environ: "Mapping[str, str]") -> None:
    """Does not return but to end with an error.

    Of `environ`: PYTHONUSERBASE is the environment's folder, which the image puts below HOME. KF_HOME_MOUNT is where
    the home volume is, if that is not HOME. KF_PACKAGES is "none" for a start without the user's packages.
    """
    home = environ["HOME"]
    paths = environ["PATH"].split(os.pathsep)
    image_paths = [path for path in paths if not path.startswith(home + os.sep)]
    program = shutil.which(argv[0], path=os.pathsep.join(image_paths))
    if program is None:
        sys.exit("kf_spawner: the image has no program {}".format(argv[0]))
    folder = os.path.join(environ.get("KF_HOME_MOUNT") or home, os.path.relpath(environ["PYTHONUSERBASE"], home))
    others = [path for path in paths if path != os.path.join(environ["PYTHONUSERBASE"], "bin")]
    changes = {"PYTHONUSERBASE": folder, "PATH": os.pathsep.join(others)}
    try:
        make(folder, sys.prefix)
    except OSError as error:
        say("the folder of your packages cannot be made ready, so they and pip are missing: {}".format(error))
    else:
        changes.update(start(folder, others, program, environ))
    os.execve(program, [program, *argv[1:]], dict(environ, **changes))  # noqa: S606


def start(folder: str, paths: "list[str]", program: str, environ: "Mapping[str, str]") -> "dict[str, str]":
    """The variables for a start with the user's environment in `folder`, or without its packages."""
    if environ.get("KF_PACKAGES") == "none":
        say("your packages are not used; `pip` still manages those in {}".format(folder))
        return {}
    # The image's kernels and extensions of JupyterLab, then those of the user's packages.
    data = [os.path.join(path, "share", "jupyter") for path in (os.path.dirname(os.path.dirname(program)), folder)]
    before = [environ["JUPYTER_PATH"]] if environ.get("JUPYTER_PATH") else []
    return {
        "PATH": os.pathsep.join([os.path.join(folder, "bin"), *paths]),
        "JUPYTER_PATH": os.pathsep.join([*before, *data]),
    }


def say(text: str) -> None:
    sys.stderr.write("kf_spawner: {}\n".format(text))
    sys.stderr.flush()  # the program that follows would throw it away


if __name__ == "__main__":
    main(sys.argv[1:], os.environ)
