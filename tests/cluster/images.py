"""The cluster's own images, made as archives: pause, CoreDNS, and busybox for pods of tests."""

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from kf_spawner.localcluster.controlplane.build import cache_root

from . import archive, debian
from .layout import BUSYBOX_IMAGE, COREDNS_IMAGE, PAUSE_IMAGE, Layout
from .programs import Programs

PATH = "PATH=/bin"


def write(layout: Layout, programs: Programs) -> None:
    """Write the archives. Raises PackagesUnavailable."""
    folder = layout.images
    _of_program(folder / "pause.tar", PAUSE_IMAGE, programs.pause)
    _of_program(folder / "coredns.tar", COREDNS_IMAGE, programs.coredns)
    shutil.copyfile(_busybox(), folder / "busybox.tar")


def _of_program(path: Path, image: str, program: Path) -> None:
    """An image of one static program."""
    with tempfile.TemporaryDirectory(prefix="kf-image-") as name:
        tree = Path(name)
        shutil.copyfile(program, tree / program.name)
        (tree / program.name).chmod(0o755)
        archive.write(path, image=image, tree=tree, config={"Entrypoint": [f"/{program.name}"], "Env": [PATH]})


def _busybox() -> Path:
    """The archive in the user's cache, from Debian's package: a cluster's network has no way to Debian."""
    recipe = b"".join(Path(file).read_bytes() for file in (__file__, archive.__file__, debian.__file__))
    path = cache_root() / "test-cluster" / f"busybox-{hashlib.sha256(recipe).hexdigest()[:16]}.tar"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix="kf-image-") as name:
            tree = Path(name)
            debian.unpack(["busybox-static"], tree)
            for unused in [entry for entry in tree.iterdir() if entry.name != "bin"]:
                shutil.rmtree(unused)
            link_applets(tree)
            config = {"Entrypoint": ["/bin/sh", "-c"], "Env": [PATH]}
            archive.write(path, image=BUSYBOX_IMAGE, tree=tree, config=config)
    return path


def link_applets(tree: Path) -> None:
    """Make busybox's commands in /bin, but where there is one already."""
    program = tree / "bin" / "busybox"
    listed = subprocess.run([str(program), "--list"], check=True, capture_output=True, text=True)
    for applet in listed.stdout.split():
        if not (tree / "bin" / applet).exists():
            (tree / "bin" / applet).symlink_to("busybox")
