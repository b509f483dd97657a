"""The images of the node: finds the image of a reference, builds it, and removes old ones.

Owns the cache of environments. Knows nothing of pods: a caller asks for an image, awaits its pull and gets what a
process needs to run in it. docs/decisions/local-images.md says why.
"""

import asyncio
import functools
import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kf_spawner.k8s.names import HOME_MOUNT

from .build import LAYERS, Progress, build_image, build_layer, file_lock, remove_tree
from .catalogue import EnvironmentSpec, ImageError, ImageSpec, load_catalogue, parse_reference
from .contents import is_intact
from .interpreters import Interpreter, find_interpreter

log = logging.getLogger(__name__)

__all__ = ["Image", "ImageEnvironment", "ImageError", "ImageStore"]

LAYOUT = "2"
"""Part of every digest: raise it when the way to build an environment changes."""
PACKAGES = ".kf-packages"
"""Folder of the home volume. In it each image and Python has an environment for what its users install."""
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DAY = 24 * 3600.0
IMAGE_KEPT = 1 * DAY
LAYER_KEPT = 7 * DAY
"""Seconds without use before removal. On a slow network a layer takes minutes to build again, an image seconds."""
VERSION = re.compile(r'^__version__ = "(.+?)"', re.MULTILINE)
PROBE_GPU = "nvidia-smi"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the catalogue, for this machine; `digest` names its content."""

    reference: str
    spec: ImageSpec
    digest: str
    path: Path
    layers: dict[str, Path]
    interpreters: dict[str, Interpreter]

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def image_id(self) -> str:
        """For `status.containerStatuses[].imageID`."""
        return f"{self.name}@sha256:{self.digest}"


@dataclass(frozen=True, kw_only=True)
class ImageEnvironment:
    """What a process needs to run in an image: the ENV, ENTRYPOINT, CMD and WORKDIR of its Dockerfile.

    Paths below `home` are those of the image: the caller replaces them by the real directory.
    """

    env: dict[str, str]
    entrypoint: list[str]
    cmd: list[str]
    workdir: str
    home: str


class ImageStore:
    """All images that this node can run.

    `catalogue` is the folder of images, `cache` the folder of environments (layers/, images/, uv/, locks/), and
    `package` the folder of the kf_spawner package, which every image contains.
    """

    def __init__(self, catalogue: Path, cache: Path, package: Path) -> None:
        self.cache = cache
        self.package = package
        self.specs = load_catalogue(catalogue)
        match = VERSION.search((package / "__init__.py").read_text())
        if not match:
            raise ValueError(f"{package / '__init__.py'}: it has no __version__")
        self.version = match[1]

    def resolve(self, reference: str) -> Image:
        """The image of `reference`. Blocks for some 10 ms to read the files of the image.

        Raises ImageError: InvalidImageName, or ErrImagePull with the names of the available images.
        """
        name, tag = parse_reference(reference)
        spec = self.specs.get(name)
        if spec is None:
            there = ", ".join(sorted(self.specs)) or "none"
            raise ImageError(
                "ErrImagePull",
                f'image "{reference}" is not in this node\'s catalogue; there are: {there}. '
                f"A node without containers can run only these; add a folder to images/ or use a cluster.",
            )
        if tag not in ("", "latest", self.version):
            raise ImageError(
                "ErrImagePull",
                f'image "{reference}" is not here: this node has {name} in version {self.version}; use that tag.',
            )
        if reason := self._why_not(spec):
            raise ImageError("ErrImagePull", f'image "{reference}" cannot run on this node: {reason}.')
        interpreters = {item.folder: self._interpreter(item) for item in spec.environments}
        layers = {item.folder: self._layer(item, interpreters[item.folder]) for item in spec.environments}
        digest = self._digest(spec, layers)
        return Image(
            reference=reference,
            spec=spec,
            digest=digest,
            path=self.cache / "images" / name / digest[:12],
            layers=layers,
            interpreters=interpreters,
        )

    def present(self, image: Image) -> bool:
        """Whether the image is on this machine as it was built. Blocks for some 20 ms."""
        return all(is_intact(image.path / item.folder) for item in image.spec.environments)

    def unavailable(self) -> dict[str, str]:
        """Image name -> the reason why this node cannot run it. Blocks for some 100 ms the first time."""
        return {name: reason for name, spec in self.specs.items() if (reason := self._why_not(spec))}

    async def pull(self, image: Image, progress: Progress = lambda line: None) -> None:
        """Builds the missing parts of the image. Two calls at once build it once. It can be cancelled and repeated.

        `progress` gets a line now and then. Raises ImageError with the cause and a remedy.
        """
        async with file_lock(self.cache / "locks" / f"image-{image.digest[:12]}"):
            if await asyncio.to_thread(self.present, image):
                return
            if image.path.exists():
                log.warning("%s was changed; building it again", image.path)
                progress(f"{image.name} was changed on this machine; building it again")
            try:
                for spec in image.spec.environments:
                    interpreter = image.interpreters[spec.folder]
                    if not image.layers[spec.folder].exists():
                        progress(f"Building {spec.folder}, an environment of Python {interpreter.version}")
                    await build_layer(
                        image.layers[spec.folder], spec, interpreter, cache=self.cache, progress=progress
                    )
                progress(f"Assembling {image.name}")
                await build_image(
                    image.path, image.layers, image.spec.environments, package=self.package, cache=self.cache
                )
            except OSError as error:
                raise ImageError("ErrImagePull", f"cannot build {image.name} in {self.cache}: {error}") from error
            await asyncio.to_thread(self._remove_unused, image)

    def environment(self, image: Image) -> ImageEnvironment:
        """What a process needs to run in the image, which must be present. Records that the image is in use."""
        os.utime(image.path)
        path = [str(image.path / item.folder / "bin") for item in image.spec.environments]
        env = {"LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        entrypoint = []
        if image.spec.notebook:
            first = image.spec.environments[0].folder
            packages = f"{HOME_MOUNT}/{PACKAGES}/{image.name}/python{image.interpreters[first].minor}"
            path = [f"{packages}/bin", *path, f"{HOME_MOUNT}/.local/bin"]
            env |= {
                "PYTHONUSERBASE": packages,
                "KF_IMAGE_PREFIX": str(image.path / first),
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                # A home volume outlives images: kernels in it must not hide those of the image.
                "JUPYTER_PREFER_ENV_PATH": "1",
            }
            entrypoint = [str(image.path / first / "bin" / "python"), "-I", "-m", "kf_spawner.user_packages"]
        return ImageEnvironment(
            env={"PATH": ":".join([*path, SYSTEM_PATH]), **env},
            entrypoint=entrypoint,
            cmd=list(image.spec.cmd),
            workdir=HOME_MOUNT,
            home=HOME_MOUNT,
        )

    def _why_not(self, spec: ImageSpec) -> str:
        if spec.gpu and not has_gpu():
            return "nvidia-smi shows no NVIDIA GPU on this machine; choose the image for CPUs"
        if spec.container_only:
            return f"{spec.container_only}; use a cluster for it"
        for item in spec.environments:
            if not find_interpreter(item.pythons):
                return missing_python(item)
        return ""

    def _interpreter(self, spec: EnvironmentSpec) -> Interpreter:
        interpreter = find_interpreter(spec.pythons)
        assert interpreter is not None, "asked before"
        return interpreter

    def _layer(self, spec: EnvironmentSpec, interpreter: Interpreter) -> Path:
        content = hashlib.sha256()
        for part in (LAYOUT, interpreter.identity, *spec.remove):
            content.update(f"{part}\0".encode())
        content.update(spec.requirements.read_bytes())
        return self.cache / "layers" / content.hexdigest()[:12]

    def _digest(self, spec: ImageSpec, layers: dict[str, Path]) -> str:
        content = hashlib.sha256()
        for item in spec.environments:
            content.update(f"{item.folder}\0{layers[item.folder].name}\0".encode())
            for folder in (*item.files, self.package):
                for path in files_below(folder):
                    content.update(f"{path.relative_to(folder)}\0".encode())
                    content.update(path.read_bytes())
        return content.hexdigest()

    def _remove_unused(self, image: Image) -> None:
        """Removes other builds of the same image that nobody started for a day and that no process uses.

        Then it removes layers that no image uses. Images keep their files, because these are hard links.
        """
        for path in image.path.parent.iterdir():
            if path != image.path and idle(path) > IMAGE_KEPT and not used_by_a_process(path):
                log.info("removing %s, unused for a day", path)
                remove_tree(path)
        lists = (self.cache / "images").glob(f"*/*/{LAYERS}")
        needed = {name for layers in lists for name in layers.read_text().split()}
        for path in (self.cache / "layers").iterdir():
            if path.name not in needed and idle(path) > LAYER_KEPT:
                log.info("removing %s, which no image uses", path)
                remove_tree(path)


def idle(path: Path) -> float:
    """Seconds since a folder was built or last used."""
    return time.time() - path.stat().st_mtime


@functools.cache
def has_gpu() -> bool:
    """Whether this machine has an NVIDIA driver with nvidia-smi."""
    return shutil.which(PROBE_GPU) is not None


def missing_python(spec: EnvironmentSpec) -> str:
    """The message if this machine has no interpreter for an environment."""
    wanted = spec.pythons[0]
    names = " or ".join(spec.pythons)
    return (
        f"it needs Python {names}, and there is none on PATH or under pyenv; install one "
        f"(`pyenv install {wanted}`, or a package with python{wanted}) and start again"
    )


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder in a fixed order, without the caches of Python."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def used_by_a_process(image: Path) -> bool:
    """Whether a process of this user runs in the image."""
    needle = os.fsencode(image)
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if needle in environ.read_bytes():
                return True
        except OSError:
            continue  # it belongs to another user, or has ended
    return False
