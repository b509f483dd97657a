"""Builds what is released: the wheel and sdist of kf-spawner, and a wheel with the control plane's programs.

    python -m scripts.release [--out dist] [amd64] [arm64]

Builds from the files that git tracks, as they are in this checkout, so that a file left there gets into nothing.
The architectures are Go's names; without one it is this machine's.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import uv

from kf_spawner import __version__
from kf_spawner.localcluster.controlplane import build

from .licences import NoLicence, third_party

ROOT = Path(__file__).resolve().parents[2]
PROJECT = Path(__file__).resolve().parent / "control-plane"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
PLATFORMS = {
    # The programs are linked statically, so that they run with every C library.
    go: f"manylinux_2_17_{machine}.manylinux2014_{machine}.musllinux_1_1_{machine}"
    for machine, go in MACHINES.items()
}


def say(text: str) -> None:
    print(f"dist: {text}", file=sys.stderr, flush=True)


def main() -> None:
    here = MACHINES.get(platform.machine())
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description="Builds what is released.")
    parser.add_argument("architectures", nargs="*", metavar="ARCH", help=f"{', '.join(PLATFORMS)}; default: {here}")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the files; default: dist")
    options = parser.parse_args()
    architectures = options.architectures or [here]
    if unknown := [name for name in architectures if name not in PLATFORMS]:
        parser.error(f"no such architecture: {', '.join(map(str, unknown))}; there are {', '.join(PLATFORMS)}")
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("kf_spawner*"):
        old.unlink()
    try:
        with tempfile.TemporaryDirectory(prefix="kf-spawner-dist-") as work:
            platform_package(Path(work) / "kf-spawner", options.out)
            for name in architectures:
                asyncio.run(control_plane_package(Path(work) / name, options.out, name, native=name == here))
    except (build.BuildError, NoLicence) as error:
        sys.exit(f"dist: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"dist: {' '.join(map(str, error.cmd[:2]))} ended with {error.returncode}")
    for path in sorted(options.out.glob("kf_spawner*")):
        say(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")


def platform_package(work: Path, out: Path) -> None:
    """The sdist of kf-spawner, and from it the wheel."""
    say("building kf-spawner")
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, work / name, follow_symlinks=False)
    _build(work, out)


async def control_plane_package(work: Path, out: Path, architecture: str, *, native: bool) -> None:
    """The wheel of kf-spawner-control-plane; its programs come from the cache or are built now (minutes)."""
    say(f"building kf-spawner-control-plane for {architecture}")
    # What this machine runs has no architecture in its key, so that one build serves both.
    module = build.CONTROL_PLANE if native else dataclasses.replace(build.CONTROL_PLANE, architecture=architecture)
    cache = build.cache_root()
    programs = await build.ensure(module, list(module.programs), cache=cache, progress=say)
    shutil.copytree(PROJECT, work, ignore=shutil.ignore_patterns("__pycache__"))
    package = work / "kf_spawner_control_plane"
    (package / "bin").mkdir()
    for name in set(module.programs.values()):
        shutil.copy2(next(iter(programs.values())).parent / name, package / "bin" / name)
    (package / "key").write_text(f"{build.CONTROL_PLANE.key()}\n")
    (work / "build.json").write_text(json.dumps({"version": __version__, "platform": PLATFORMS[architecture]}))
    shutil.copy2(ROOT / "LICENSE", work)
    sources = await build.sources(module, cache=cache, progress=say)
    own = {name for name, folders in sources.items() if build.CONTROL_PLANE.folder in folders}
    texts = {name: folders for name, folders in sources.items() if name not in own}
    (work / "THIRD-PARTY.txt").write_text(third_party(texts))
    _build(work, out, "--wheel")


def _build(project: Path, out: Path, *options: str) -> None:
    """Builds with this environment's setuptools and the commit's time, so that a second run gives the same."""
    argv = [uv.find_uv_bin(), "build", "--quiet", "--no-build-isolation", "--no-create-gitignore", *options]
    argv += ["--python", sys.executable, "--out-dir", str(out), str(project)]
    time = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, check=True, capture_output=True, text=True)
    subprocess.run(argv, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": time.stdout.strip()})


if __name__ == "__main__":
    main()
