"""The cluster's own images, made as archives: pause, CoreDNS, and busybox for pods of tests."""

import subprocess
import tempfile
from pathlib import Path

from . import archive
from .layout import BUSYBOX_IMAGE, COREDNS_IMAGE, PAUSE_IMAGE, Layout
from .programs import Programs

BUSYBOX_PACKAGE = "busybox-static"


class ImageError(Exception):
    """An image cannot be made; the message says why."""


def write(layout: Layout, programs: Programs) -> None:
    """Write the archives. Raises ImageError."""
    folder = layout.images
    pause, coredns = {"pause": programs.pause}, {"coredns": programs.coredns}
    archive.write(folder / "pause.tar", image=PAUSE_IMAGE, entrypoint=["/pause"], files=pause)
    archive.write(folder / "coredns.tar", image=COREDNS_IMAGE, entrypoint=["/coredns"], files=coredns)
    if not (folder / "busybox.tar").exists():
        try:
            _write_busybox(folder / "busybox.tar")
        except (OSError, subprocess.CalledProcessError) as error:
            raise ImageError(f"cannot get Debian's package {BUSYBOX_PACKAGE}: {error}; try again") from error


def _write_busybox(path: Path) -> None:
    """From Debian's package, unpacked and not installed."""
    with tempfile.TemporaryDirectory(prefix="kf-busybox-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as a user of its own
        subprocess.run(["apt-get", "download", "-qq", BUSYBOX_PACKAGE], cwd=folder, check=True, capture_output=True)
        (package,) = folder.glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(package), str(folder / "unpacked")], check=True)
        program = folder / "unpacked" / "bin" / "busybox"
        listed = subprocess.run([str(program), "--list"], check=True, capture_output=True, text=True)
        links = {f"bin/{applet}": "busybox" for applet in listed.stdout.split() if applet != "busybox"}
        archive.write(
            path,
            image=BUSYBOX_IMAGE,
            entrypoint=["/bin/sh", "-c"],
            files={"bin/busybox": program},
            links=links,
        )
