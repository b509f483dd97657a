"""Images' archives as one stream that containerd imports: each layer once, and none that it has already.

The archives are what `docker save` and `buildah push … docker-archive:` write; the stream is an OCI image layout
(https://github.com/opencontainers/image-spec/blob/main/image-layout.md). Knows no node.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")
"""How gzip's and zstd's files begin: the digest of such a layer is not the one that its image's configuration has."""


class NotAnArchive(Exception):
    """A file is not an image archive; the message says why."""


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer: a file in an archive."""

    digest: str
    archive: Path
    name: str
    size: int
    """In bytes."""


@dataclass(frozen=True)
class Image:
    names: list[str]
    configuration: bytes
    layers: list[Layer]


def read(archive: Path) -> list[Image]:
    """The images of an archive. Raises NotAnArchive."""
    try:
        with tarfile.open(archive, "r:") as tar:
            manifest = json.loads(_content(tar, "manifest.json"))
            return [_image(tar, archive, entry) for entry in manifest]
    except (tarfile.TarError, KeyError, ValueError) as error:
        raise NotAnArchive(f"{archive} is not an image's archive as docker save writes it: {error}") from error


def write(stream: IO[bytes], images: Sequence[Image], *, present: Collection[str]) -> None:
    """Write the layout of these images, without the blobs whose digests are in `present`."""
    with tarfile.open(fileobj=stream, mode="w|") as tar:
        _add(tar, "oci-layout", json.dumps({"imageLayoutVersion": "1.0.0"}).encode())
        written = set(present)
        for image in images:
            for layer in image.layers:
                if layer.digest not in written:
                    written.add(layer.digest)
                    _copy(tar, layer)
            for blob in (image.configuration, _manifest(image)):
                if (digest := _digest(blob)) not in written:
                    written.add(digest)
                    _add(tar, _path(digest), blob)
        _add(tar, "index.json", json.dumps(_index(images)).encode())


def _image(tar: tarfile.TarFile, archive: Path, entry: dict) -> Image:
    configuration = _content(tar, entry["Config"])
    digests = json.loads(configuration)["rootfs"]["diff_ids"]
    layers = [
        Layer(digest, archive, name, _size(tar, name)) for digest, name in zip(digests, entry["Layers"], strict=True)
    ]
    return Image([_in_full(name) for name in entry["RepoTags"]], configuration, layers)


def _in_full(name: str) -> str:
    """With its registry: Docker's own unless it names another, as kubelets and containerd understand it."""
    first, slash, _ = name.partition("/")
    if not slash:
        return f"docker.io/library/{name}"
    return name if "." in first or ":" in first or first == "localhost" else f"docker.io/{name}"


def _size(tar: tarfile.TarFile, name: str) -> int:
    """In bytes. Raises ValueError where the layer is compressed."""
    with _file(tar, name) as file:
        if file.read(4).startswith(COMPRESSED):
            raise ValueError(f"its layer {name} is compressed")
        return file.seek(0, io.SEEK_END)


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    with _file(tar, name) as file:
        return file.read()


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    """In docker's archives it may be a link to a layer that several images have."""
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"its {name} is not a file")
    return file


def _copy(tar: tarfile.TarFile, layer: Layer) -> None:
    entry = tarfile.TarInfo(_path(layer.digest))
    entry.size = layer.size
    with tarfile.open(layer.archive, "r:") as archive, _file(archive, layer.name) as file:
        tar.addfile(entry, file)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _manifest(image: Image) -> bytes:
    described = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _described("application/vnd.oci.image.config.v1+json", image.configuration),
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size}
            for layer in image.layers
        ],
    }
    return json.dumps(described).encode()


def _index(images: Sequence[Image]) -> dict:
    entries = [
        {
            **_described("application/vnd.oci.image.manifest.v1+json", _manifest(image)),
            "annotations": {"io.containerd.image.name": name},
        }
        for image in images
        for name in image.names
    ]
    return {"schemaVersion": 2, "manifests": entries}


def _described(kind: str, blob: bytes) -> dict:
    return {"mediaType": kind, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
