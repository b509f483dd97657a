"""Builds the container images: `make images [ONLY="hub …"] [BASE=…]`.

    python -m scripts.images [--base BASE] [--out .images] [NAME...]

Without names: all that need no GPU. For each image an archive `NAME.tar` that `docker load`, `ctr image import` and a
test cluster take, and its bill of materials `NAME.cdx.json`; at the end a table of sizes and times.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from kf_spawner import __version__

from . import bases, buildah
from .programs import BuildFailed, need, run
from .recipe import ROOT, Recipe, recipes

REPOSITORY = "kf-spawner"
AT_ONCE = 2
"""Builds side by side: while one downloads or packs, which takes one core, another compiles."""

Row = tuple[str, int, float]
"""An image's name, its bytes unpacked, and the seconds that it took."""


def main() -> None:
    known = recipes()
    parser = argparse.ArgumentParser(prog="make images", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all that need no GPU")
    parser.add_argument(
        "--base", default="", help="an image to begin from, or `debootstrap`; default: the pinned one"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".images", help="folder of the archives; default: .images")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"there is no image {unknown[0]}; there are {', '.join(known)}")
    wanted = [known[name] for name in options.names] or [recipe for recipe in known.values() if not recipe.gpu]
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        need("buildah", package="buildah")
        rows = make_all(wanted, base=options.base, out=options.out)
    except BuildFailed as error:
        sys.exit(f"images: {error}")
    print(f"\n{'image':<34}{'size':>9}{'time':>9}")
    for name, size, seconds in rows:
        print(f"{name:<34}{size / 1e6:>6.0f} MB{seconds:>7.0f} s")


def make_all(wanted: Sequence[Recipe], *, base: str, out: Path) -> list[Row]:
    """Builds the images. One that shares layers waits for those that have them. Raises BuildFailed."""
    arguments = {recipe.name: bases.arguments(recipe, base=base) for recipe in wanted}
    wanted = sorted(wanted, key=lambda recipe: bool(recipe.shares))
    building: dict[str, Future[Row]] = {}

    def make_after(recipe: Recipe, others: Sequence[Future[Row]]) -> Row:
        wait(others)
        return make(recipe, arguments=arguments[recipe.name], out=out)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for recipe in wanted:
            others = [building[name] for name in recipe.shares if name in building]
            building[recipe.name] = pool.submit(make_after, recipe, others)
    return [each.result() for each in building.values()]


def make(recipe: Recipe, *, arguments: Mapping[str, str], out: Path) -> Row:
    """Builds one image, writes its archive and bill of materials if it has changed."""
    started = time.monotonic()
    print(f"{recipe.name}: building", flush=True)
    reference = f"localhost/{REPOSITORY}/{recipe.name}:{__version__}"
    labels = {"VERSION": __version__, "REVISION": revision()}
    image_id = buildah.build(reference, recipe.dockerfile, ROOT, arguments={**arguments, **labels})
    archive, note = out / f"{recipe.name}.tar", out / f".{recipe.name}.id"
    if not archive.exists() or not note.exists() or note.read_text() != image_id:
        note.unlink(missing_ok=True)
        buildah.save(reference, archive, name=f"docker.io/{REPOSITORY}/{recipe.name}:{__version__}")
        materials = buildah.read_file(reference, "/opt/kf/sbom.cdx.json")
        (out / f"{recipe.name}.cdx.json").write_bytes(materials)
        note.write_text(image_id)
        print(f"{recipe.name}: {len(json.loads(materials)['components'])} components", flush=True)
    return recipe.name, archive.stat().st_size, time.monotonic() - started


def revision() -> str:
    """The commit that is checked out; `unknown` outside a clone."""
    try:
        return run(["git", "-C", str(ROOT), "rev-parse", "HEAD"]).strip()
    except BuildFailed:
        return "unknown"


if __name__ == "__main__":
    main()
