"""Makes and repairs the virtual environment of a user's packages.

Owns the files in it that are not the user's. It is an environment as PEP 405 (https://peps.python.org/pep-0405/)
defines it, written here and not by `venv`, which cannot put one environment over another, and which takes longer.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

PYTHON = "python{}.{}".format(*sys.version_info[:2])
SITE = "lib/{}/site-packages".format(PYTHON)

# `true`, or pip refuses --user. _kf_image takes out what would come with it: the packages of the machine's Python.
PYVENV_CFG = """\
home = {home}
executable = {executable}
version = {version}
include-system-site-packages = true
"""
LINK = "import _kf_image; _kf_image.add(known_paths)\n"


def make(folder: str, image: str) -> None:
    """Makes `folder` the environment over the environment `image`; both are paths. The user's packages stay.

    What is right is not written again, so a full volume does no harm then. Raises OSError.
    """
    interpreter = os.path.realpath(sys.executable)
    site = os.path.join(folder, SITE)
    for path in (os.path.join(folder, "bin"), site):
        os.makedirs(path, exist_ok=True)
    if not os.path.lexists(os.path.join(folder, "lib64")):
        os.symlink("lib", os.path.join(folder, "lib64"))
    config = PYVENV_CFG.format(
        home=os.path.dirname(interpreter),
        executable=interpreter,
        version="{}.{}.{}".format(*sys.version_info[:3]),
    )
    _write(os.path.join(folder, "pyvenv.cfg"), config)
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "image_link.py")) as source:
        _write(os.path.join(site, "_kf_image.py"), source.read().replace('"{image}"', repr(image)))
    _write(os.path.join(site, "_kf_image.pth"), LINK)
    for name in ("python3", PYTHON):
        _link(os.path.join(folder, "bin", name), "python")
    # Last: without the files above it would be the machine's Python, which pip must not change.
    _link(os.path.join(folder, "bin", "python"), interpreter)


def _link(path: str, target: str) -> None:
    if os.path.islink(path) and os.readlink(path) == target:
        return
    with _beside(path) as temporary:
        os.symlink(target, temporary)


def _write(path: str, text: str) -> None:
    with contextlib.suppress(OSError, ValueError), open(path) as file:
        if file.read() == text:
            return
    with _beside(path) as temporary, open(temporary, "w") as file:
        file.write(text)


@contextlib.contextmanager
def _beside(path: str) -> "Iterator[str]":
    """A free name, whose file then takes the place of `path`: another server or job may use it at that moment."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path), prefix=".kf-") as folder:
        temporary = os.path.join(folder, "new")
        yield temporary
        os.replace(temporary, path)
