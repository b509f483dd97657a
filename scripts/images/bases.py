"""The images that ours begin from: the public ones that the Dockerfiles pin, or what this machine can make instead.

Owns the stand-ins: a minimal Debian with its Python from debootstrap, and a Python 3.6 of this machine. They are kept
in buildah's storage under names of their own and made once.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from kf_spawner.localcluster.node.image.interpreters import find_interpreter

from . import buildah
from .programs import BuildFailed, need, run
from .recipe import Recipe

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates,tzdata"
PULL_TIMEOUT = 300.0
# Files that a container never reads, the largest first; copyright files stay.
UNUSED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/man", "usr/share/locale", "usr/share/info")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def arguments(recipe: Recipe, *, base: str) -> dict[str, str]:
    """Build arguments that name the bases of `recipe`.

    `base`: an image reference for BASE; `debootstrap`; or nothing, and then the public images are taken where they
    can be pulled and the stand-ins where they cannot. Raises BuildFailed.
    """
    if base and base != "debootstrap":
        return {"BASE": base}
    if not base:
        try:
            for reference in recipe.bases.values():
                buildah.pull(reference, timeout=PULL_TIMEOUT)
        except BuildFailed as error:
            print(
                f"{recipe.name}: the public base images cannot be pulled ({_short(error)}); making them here",
                flush=True,
            )
        else:
            return {}
    makers = {"BASE": debian, "PYTHON36": python36}
    missing = sorted(set(recipe.bases) - set(makers))
    if missing:
        raise BuildFailed(f"{recipe.name} begins from {recipe.bases[missing[0]]}, which only a registry has")
    return {name: makers[name]() for name in recipe.bases}


def debian() -> str:
    """The reference of a minimal Debian with its own Python, made if it is not there yet."""
    key = hashlib.sha256(f"1 {SUITE} {PACKAGES} {UNUSED}".encode()).hexdigest()[:12]
    reference = f"localhost/kf-spawner-debian:{SUITE}-{key}"
    if buildah.present(reference):
        return reference
    if os.geteuid() != 0:
        raise BuildFailed("debootstrap needs root: run this as root, or give a base image with BASE=")
    need("debootstrap", package="debootstrap")
    print(f"making a Debian {SUITE} with debootstrap", flush=True)
    with tempfile.TemporaryDirectory(prefix="kf-debian-") as folder:
        tree = Path(folder)
        tree.chmod(0o755)
        run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(tree), *mirror()])
        for unused in UNUSED:
            for path in (tree / unused).glob("*"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (tree / "usr/share/doc").rglob("*"):
            if path.is_file() and path.name != "copyright":
                path.unlink()
        buildah.from_tree(reference, tree, environment={"PATH": PATH})
    return reference


def mirror() -> list[str]:
    """Where this machine's own apt has the suite from, if it has; else debootstrap takes its default."""
    if not shutil.which("apt-get"):
        return []
    lines = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"]
    ).splitlines()
    return next(([line.split()[0]] for line in lines if line.split()[1:] == [SUITE]), [])


def python36() -> str:
    """The reference of an image that has this machine's Python 3.6 below /usr/local, made if it is not there yet."""
    interpreter = find_interpreter(["3.6"])
    if interpreter is None:
        raise BuildFailed("there is no Python 3.6 on PATH or under pyenv: `pyenv install 3.6.15`, then try again")
    prefix = Path(os.path.realpath(interpreter.path)).parents[1]
    reference = f"localhost/kf-spawner-python36:{hashlib.sha256(interpreter.identity.encode()).hexdigest()[:12]}"
    if buildah.present(reference):
        return reference
    with tempfile.TemporaryDirectory(prefix="kf-python36-") as folder:
        tree = Path(folder) / "usr" / "local"
        ignored = shutil.ignore_patterns("site-packages", "test", "tests", "__pycache__", "*.a", "share")
        for part in ("bin", "lib"):
            shutil.copytree(prefix / part, tree / part, symlinks=True, ignore=ignored)
        buildah.from_tree(reference, Path(folder), environment={})
    return reference


def _short(error: BuildFailed) -> str:
    return str(error).splitlines()[-1].strip()[:200]
