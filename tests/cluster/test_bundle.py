"""The stream of images that containerd imports: whole, each layer once, and none that is there already."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from . import archive, bundle


@pytest.fixture
def images(tmp_path: Path) -> list[bundle.Image]:
    """Two that have the same only layer and differ in how they are run."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").write_text("content")
    for name in ("one", "two"):
        archive.write(tmp_path / f"{name}.tar", image=f"docker.io/test/{name}:1", tree=tree, config={"Cmd": [name]})
    return [image for name in ("one", "two") for image in bundle.read(tmp_path / f"{name}.tar")]


def written(images: list[bundle.Image], present: tuple[str, ...] = ()) -> dict[str, bytes]:
    """The stream's files by name; a name that is there twice fails."""
    stream = io.BytesIO()
    bundle.write(stream, images, present=present)
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as tar:
        names = tar.getnames()
        assert len(names) == len(set(names))
        return {name: tar.extractfile(name).read() for name in names}


def test_every_blob_has_its_digest_for_a_name_and_the_index_leads_to_all(images):
    files = written(images)
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert {name: f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for name, content in blobs.items()} == {
        name: name for name in blobs
    }
    manifests = {
        entry["annotations"]["io.containerd.image.name"]: json.loads(blobs[path(entry)])
        for entry in json.loads(files["index.json"])["manifests"]
    }
    assert set(manifests) == {"docker.io/test/one:1", "docker.io/test/two:1"}
    for name, manifest in manifests.items():
        configuration = json.loads(blobs[path(manifest["config"])])
        assert f"docker.io/test/{configuration['config']['Cmd'][0]}:1" == name
        (layer,) = manifest["layers"]
        assert configuration["rootfs"]["diff_ids"] == [layer["digest"]]
        assert len(blobs[path(layer)]) == layer["size"]


def test_a_layer_of_two_images_is_there_once_and_one_that_is_present_not_at_all(images):
    (layer,) = {layer.digest for image in images for layer in image.layers}
    name = path({"digest": layer})
    files = written(images)
    assert name in files
    assert set(files) - set(written(images, (layer,))) == {name}


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("plain:1", "docker.io/library/plain:1"),
        ("kf-spawner/plain:1", "docker.io/kf-spawner/plain:1"),
        ("localhost/plain:1", "localhost/plain:1"),
        ("registry.example.com/kf/plain:1", "registry.example.com/kf/plain:1"),
        ("registry:5000/plain:1", "registry:5000/plain:1"),
    ],
)
def test_a_name_without_a_registry_is_one_of_docker_hub(tmp_path: Path, name: str, full: str):
    (tmp_path / "tree").mkdir()
    archive.write(tmp_path / "image.tar", image=name, tree=tmp_path / "tree", config={})
    (image,) = bundle.read(tmp_path / "image.tar")
    assert image.names == [full]


def test_what_is_no_archive_is_named(tmp_path: Path):
    file = tmp_path / "image.tar"
    file.write_text("no archive")
    with pytest.raises(bundle.NotAnArchive, match=f"{file} is not an image's archive"):
        bundle.read(file)


def path(described: dict) -> str:
    return "blobs/" + described["digest"].replace(":", "/")
