"""Adds the image's packages after the user's own. `environment.py` copies this file into each environment."""

import os
import site
import sys

IMAGE = "{image}"


def add(known_paths: "set[str]") -> None:
    """Called by a .pth file, which `site` runs when it has added the folder of this file to `sys.path`.

    `known_paths` is the set of `site.addsitedir`. The variable KF_IMAGE_PREFIX is the image that runs now, which may
    be newer than the one that made this environment.
    """
    if sys.prefix == sys.base_prefix:
        return  # the machine's own Python, for which this folder holds packages of the user and no more
    library = os.path.join("lib", "python{}.{}".format(*sys.version_info[:2]))
    here = os.path.dirname(os.path.abspath(__file__))
    if here == os.path.join(sys.prefix, library, "site-packages"):
        del site.PREFIXES[:]  # the packages of the machine's Python are not the image's
    image = os.environ.get("KF_IMAGE_PREFIX") or IMAGE
    for name in ("site-packages", "pip"):
        site.addsitedir(os.path.join(image, library, name), known_paths)
