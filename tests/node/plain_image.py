"""The image of the node tests for a real kubelet: `python -m tests.node.plain_image FILE.tar`.

It holds Python and a shell, and its command prints a greeting. It is made of Debian packages, as an archive in the
format of `docker save`. Our own node builds an image of the same name from its catalogue.
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.cluster import archive, debian
from tests.cluster.images import link_applets

from .pods import HELLO, IMAGE

PACKAGES = (
    *("busybox-static", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "zlib1g", "libexpat1", "libssl3"),
)
CONFIG = {"Cmd": ["python", "-c", f"print({HELLO!r})"], "Env": ["PATH=/usr/bin:/bin"]}
USERS = "root:x:0:0:root:/root:/bin/sh\njovyan:x:1000:100:jovyan:/home/jovyan:/bin/sh\n"
GROUPS = "root:x:0:\nusers:x:100:\n"


def build(path: Path) -> None:
    """Writes the archive. Raises PackagesUnavailable."""
    with tempfile.TemporaryDirectory(prefix="kf-plain-") as name:
        tree = Path(name)
        debian.unpack(PACKAGES, tree)
        furnish(tree)
        archive.write(path, image=IMAGE, tree=tree, config=CONFIG)


def furnish(tree: Path) -> None:
    """What the packages' own scripts would have made."""
    link_applets(tree)
    for name in ("python", "python3"):
        (tree / "usr/bin" / name).symlink_to("python3.11")
    for name in ("tmp", "root", "home/jovyan", "proc", "sys", "dev"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text(USERS)
    (tree / "etc/group").write_text(GROUPS)


if __name__ == "__main__":
    os.umask(0o022)
    try:
        build(Path(sys.argv[1]))
    except debian.PackagesUnavailable as error:
        sys.exit(f"the tests' image cannot be made: {error}")
