"""The tests' image for a real kubelet: Python, a shell, and a word to say. `python -m tests.node.image FILE.tar`

Made of Debian's packages, unpacked and not installed, into an archive as `docker save` writes it: no image tools are
needed. Our own node makes an image of the same name from its catalogue.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .pods import HELLO, IMAGE

PACKAGES = (
    *("busybox-static", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "zlib1g", "libexpat1", "libssl3"),
)
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
USERS = "root:x:0:0:root:/root:/bin/sh\njovyan:x:1000:100:jovyan:/home/jovyan:/bin/sh\n"
GROUPS = "root:x:0:\nusers:x:100:\n"


def build(path: Path) -> None:
    """Writes the archive. Raises CalledProcessError where Debian's packages cannot be had."""
    with tempfile.TemporaryDirectory(prefix="kf-plain-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # apt downloads as a user of its own
        subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=folder, check=True, capture_output=True)
        tree = folder / "tree"
        for package in folder.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(tree)], check=True)
        furnish(tree)
        layer = folder / "layer.tar"
        pack(layer, tree)
        write(path, layer)


def furnish(tree: Path) -> None:
    """What the packages' own scripts would have made."""
    listed = subprocess.run([str(tree / "bin/busybox"), "--list"], check=True, capture_output=True, text=True)
    for name in listed.stdout.split():
        if not (tree / "bin" / name).exists():
            (tree / "bin" / name).symlink_to("busybox")
    for name in ("python", "python3"):
        (tree / "usr/bin" / name).symlink_to("python3.11")
    for name in ("tmp", "root", "home/jovyan", "proc", "sys", "dev"):
        (tree / name).mkdir(parents=True, exist_ok=True)
    (tree / "tmp").chmod(0o1777)
    (tree / "etc/passwd").write_text(USERS)
    (tree / "etc/group").write_text(GROUPS)


def pack(path: Path, tree: Path) -> None:
    """`tree` as a layer; the same content gives the same bytes."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(path, "w") as tar:
        for entry in sorted(tree.iterdir()):
            tar.add(entry, arcname=entry.name, filter=plain)


def write(path: Path, layer: Path) -> None:
    """The archive of an image of that one layer."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    configuration = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Cmd": ["python", "-c", f"print({HELLO!r})"], "Env": ["PATH=/usr/bin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in (("config.json", configuration), ("manifest.json", manifest)):
            text = layer.with_name(name)
            text.write_text(json.dumps(content))
            tar.add(text, arcname=name)
        tar.add(layer, arcname="layer.tar")


if __name__ == "__main__":
    os.umask(0o022)
    build(Path(sys.argv[1]))
