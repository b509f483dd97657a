"""A small container image as the archive that `docker save` writes. No image tools are needed."""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(
    path: Path,
    *,
    image: str,
    entrypoint: list[str],
    files: Mapping[str, Path],
    links: Mapping[str, str] | None = None,
) -> None:
    """An image named `image` of static programs: `files` by their name in it; `links` by name, with their target.

    The same content gives the same bytes.
    """
    layer = _tar([_file(name, source.read_bytes(), 0o755) for name, source in files.items()], links or {})
    configuration = {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [image], "Layers": ["layer.tar"]}]
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {
        "config.json": json.dumps(configuration).encode(),
        "layer.tar": layer,
        "manifest.json": json.dumps(manifest).encode(),
    }
    path.write_bytes(_tar([_file(name, content, 0o644) for name, content in parts.items()], {}))


def _file(name: str, content: bytes, mode: int) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    return entry, content


def _tar(files: list[tuple[tarfile.TarInfo, bytes]], links: Mapping[str, str]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for entry, content in files:
            tar.addfile(entry, io.BytesIO(content))
        for name, target in links.items():
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link)
    return output.getvalue()
