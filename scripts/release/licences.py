"""The text that goes with compiled programs: every module in them, with its version and licence."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

LICENCE = re.compile(r"(LICEN[CS]E|COPYING|NOTICE|PATENTS|COPYRIGHT)([.-]\w+)?", re.IGNORECASE)
HEAD = """\
The programs in this package are compiled from the Go modules listed here, unchanged, each with its version. Below the
modules is the text of the licence, or a notice, that they have in common.
"""
RULE = "=" * 80


class NoLicence(Exception):
    """A module has no licence file, so it may not be passed on."""


def third_party(sources: Mapping[str, Iterable[Path]]) -> str:
    """The text for `sources`: module@version -> the module's folder and those of its packages. Raises NoLicence."""
    modules: dict[str, list[str]] = {}
    for name, folders in sorted(sources.items()):
        texts = {text for folder in folders for text in licences(folder)}
        if not texts:
            raise NoLicence(f"{name} has no licence file in any of {', '.join(sorted(map(str, folders)))}")
        for text in texts:
            modules.setdefault(text, []).append(name)
    in_order = sorted((names, text) for text, names in modules.items())
    parts = [f"{RULE}\n{chr(10).join(names)}\n{RULE}\n\n{text}" for names, text in in_order]
    return "\n".join([HEAD, *parts])


def licences(folder: Path) -> set[str]:
    """The texts of the licence files in `folder`."""
    files = [path for path in folder.iterdir() if LICENCE.fullmatch(path.name) and path.is_file()]
    return {path.read_text(errors="replace").strip() + "\n" for path in files}
