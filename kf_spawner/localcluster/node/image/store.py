"""The node's images: a reference becomes an environment on this machine, built from the image's own pins.

Owns the cache of environments and which of them may go. Knows nothing of pods: the pod's side asks for an
image, awaits its pull and gets back what a process needs to run in it. Why so: docs/decisions/local-images.md.
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

from .build import LAYERS, Progress, build_image, build_layer, file_lock, remove_tree
from .catalogue import EnvironmentSpec, ImageError, ImageSpec, load_catalogue, parse_reference
from .interpreters import Interpreter, find_interpreter

log = logging.getLogger(__name__)

__all__ = ["Image", "ImageEnvironment", "ImageError", "ImageStore"]

LAYOUT = "1"
"""Part of every digest: raise it when environments are built in another way."""
HOME = "/home/jovyan"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DAY = 24 * 3600.0
IMAGE_KEPT = 1 * DAY
LAYER_KEPT = 7 * DAY
"""Seconds without use. A layer takes minutes to come back where the network is slow, an image seconds."""
VERSION = re.compile(r'^__version__ = "(.+?)"', re.MULTILINE)
PROBE_GPU = "nvidia-smi"


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image of the catalogue as it would be on this machine; `digest` names its content."""

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
    """What a process needs to run in an image, as the Dockerfile's ENV, ENTRYPOINT, CMD and WORKDIR say it.

    Paths below `home` are the image's: whoever starts the process puts the real directory in their place.
    """

    env: dict[str, str]
    entrypoint: list[str]
    cmd: list[str]
    workdir: str
    home: str


class ImageStore:
    """All images that this node can run.

    `catalogue`: the folder of images; `cache`: where environments are kept (layers/, images/, uv/, locks/);
    `package`: the folder of the kf_spawner package, which is in every image.
    """

    def __init__(self, catalogue: Path, cache: Path, package: Path) -> None:
        self.cache = cache
        self.package = package
        self.specs = load_catalogue(catalogue)
        match = VERSION.search((package / "__init__.py").read_text())
        if not match:
            raise ValueError(f"{package / '__init__.py'}: no __version__ in it")
        self.version = match[1]

    def resolve(self, reference: str) -> Image:
        """The image that `reference` means. Blocks for some 10 ms: it reads the image's files.

        Raises ImageError: InvalidImageName, or ErrImagePull naming what there is.
        """
        name, tag = parse_reference(reference)
        spec = self.specs.get(name)
        if spec is None:
            there = ", ".join(sorted(self.specs)) or "none"
            raise ImageError(
                "ErrImagePull",
                f'image "{reference}" is not in this node\'s catalogue; there are: {there}. '
                f"A node without containers can run these alone; add a folder to images/ or use a cluster.",
            )
        if tag not in ("", "latest", self.version):
            raise ImageError(
                "ErrImagePull",
                f'image "{reference}" is not here: this node has {name} in version {self.version}; make it the tag.',
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
        """Whether the image is complete on this machine."""
        return image.path.is_dir()

    def unavailable(self) -> dict[str, str]:
        """Image name to the reason why this node cannot run it. Blocks for some 100 ms the first time."""
        return {name: reason for name, spec in self.specs.items() if (reason := self._why_not(spec))}

    async def pull(self, image: Image, progress: Progress = lambda line: None) -> None:
        """Builds what is missing of the image; two at once build it once. Safe to cancel and to call again.

        `progress` gets a line now and then. Raises ImageError with the cause and a remedy.
        """
        async with file_lock(self.cache / "locks" / f"image-{image.digest[:12]}"):
            if self.present(image):
                return
            try:
                for spec in image.spec.environments:
                    interpreter = image.interpreters[spec.folder]
                    if not image.layers[spec.folder].exists():
                        progress(f"Making {spec.folder}, an environment of Python {interpreter.version}")
                    await build_layer(
                        image.layers[spec.folder], spec, interpreter, cache=self.cache, progress=progress
                    )
                progress(f"Putting {image.name} together")
                await build_image(
                    image.path, image.layers, image.spec.environments, package=self.package, cache=self.cache
                )
            except OSError as error:
                raise ImageError("ErrImagePull", f"cannot build {image.name} in {self.cache}: {error}") from error
            await asyncio.to_thread(self._remove_unused, image)

    def environment(self, image: Image) -> ImageEnvironment:
        """What a process in the image needs. The image must be present; notes that it is in use."""
        os.utime(image.path)
        path = [f"{HOME}/.local/bin", *(str(image.path / item.folder / "bin") for item in image.spec.environments)]
        return ImageEnvironment(
            env={
                "PATH": ":".join([*path, SYSTEM_PATH]),
                "LANG": "C.UTF-8",
                # pip puts what a user installs into the home volume: environments are everybody's.
                "PIP_PREFIX": f"{HOME}/.local",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PYTHONUNBUFFERED": "1",
                # A home volume outlives images: its kernels must not hide the image's own.
                "JUPYTER_PREFER_ENV_PATH": "1",
            },
            entrypoint=[],
            cmd=list(image.spec.cmd),
            workdir=HOME,
            home=HOME,
        )

    def _why_not(self, spec: ImageSpec) -> str:
        if spec.gpu and not has_gpu():
            return "this machine has no NVIDIA GPU that nvidia-smi shows; choose the image for CPUs"
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
        """Removes other builds of the same image that nobody has started for a day and no process runs in.

        Then layers that no image was made of: an image's own files stay, they are hard links.
        """
        for path in image.path.parent.iterdir():
            if path != image.path and idle(path) > IMAGE_KEPT and not used_by_a_process(path):
                log.info("removing %s, unused for a day", path)
                remove_tree(path)
        lists = (self.cache / "images").glob(f"*/*/{LAYERS}")
        needed = {name for layers in lists for name in layers.read_text().split()}
        for path in (self.cache / "layers").iterdir():
            if path.name not in needed and idle(path) > LAYER_KEPT:
                log.info("removing %s, which no image is made of", path)
                remove_tree(path)


def idle(path: Path) -> float:
    """Seconds since a folder was made or last used."""
    return time.time() - path.stat().st_mtime


@functools.cache
def has_gpu() -> bool:
    """Whether this machine has an NVIDIA driver with its tool."""
    return shutil.which(PROBE_GPU) is not None


def missing_python(spec: EnvironmentSpec) -> str:
    """What to say and do where there is no interpreter for an environment."""
    wanted = spec.pythons[0]
    names = " or ".join(spec.pythons)
    return (
        f"it needs Python {names}, and there is none on PATH or under pyenv; install one "
        f"(`pyenv install {wanted}`, or a package that brings python{wanted}) and start again"
    )


def files_below(folder: Path) -> Iterator[Path]:
    """The files of a folder in a fixed order, without what Python leaves behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
            yield path


def used_by_a_process(image: Path) -> bool:
    """Whether a process of this user was started in the image."""
    needle = os.fsencode(image)
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if needle in environ.read_bytes():
                return True
        except OSError:
            continue  # another user's, or gone meanwhile
    return False
