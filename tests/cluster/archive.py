"""A container image of one layer, as the archive that `docker save` writes. No image tools are needed."""

import hashlib
import json
import platform
import tarfile
import tempfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(path: Path, *, image: str, tree: Path, config: dict) -> None:
    """The image of that name with the files of the folder `tree`; `config` is how it is run, in Docker's words.

    The same content gives the same bytes. The archive is there when it is whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".image-", dir=path.parent) as name:
        folder = Path(name)
        layer = folder / "layer.tar"
        _pack(layer, tree)
        with layer.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        configuration = {
            "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
        manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
        (folder / "config.json").write_text(json.dumps(configuration))
        (folder / "manifest.json").write_text(json.dumps(manifest))
        partial = path.with_name(f".partial-{path.name}")
        _pack(partial, folder)
        partial.replace(path)


def _pack(path: Path, tree: Path) -> None:
    """The content of `tree` as root's."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = entry.mtime = 0
        entry.uname = entry.gname = ""
        return entry

    with tarfile.open(path, "w") as tar:
        for entry in sorted(tree.iterdir()):
            tar.add(entry, arcname=entry.name, filter=plain)
