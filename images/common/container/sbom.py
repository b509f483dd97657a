"""Writes what an image is made of as a CycloneDX 1.5 document, from what is installed in it.

    sbom.py NAME VERSION ENVIRONMENT...     run in the image, when all is in its place; writes to standard output

Owns the document's form: Debian's packages, and for each virtual environment its Python and its packages. Needs
nothing but the standard library. The same image always gives the same document: there is no time and no number in it.
"""

import json
import platform
import sys
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

DPKG_STATUS = Path("/var/lib/dpkg/status")


def document(name: str, version: str, environments: list[Path], dpkg_status: Path = DPKG_STATUS) -> dict:
    """The bill of materials of the image `name`."""
    found = [*debian(dpkg_status), *(part for folder in environments for part in python(folder))]
    components = {part["purl"]: {"bom-ref": part["purl"], **part} for part in found}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name, "version": version}},
        "components": [components[purl] for purl in sorted(components)],
    }


def debian(status: Path) -> Iterator[dict]:
    """Debian's installed packages."""
    if not status.exists():
        return
    for paragraph in status.read_text().split("\n\n"):
        package = HeaderParser().parsestr(paragraph)
        if package.get("Status", "").endswith(" installed"):
            name, version = package["Package"], package["Version"]
            # Epochs and revisions have signs that a purl writes in percent.
            quoted = version.replace("%", "%25").replace("+", "%2B").replace(":", "%3A").replace("~", "~")
            yield {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:deb/debian/{name}@{quoted}?arch={package['Architecture']}",
            }


def python(environment: Path) -> Iterator[dict]:
    """An environment's interpreter and packages."""
    for line in (environment / "pyvenv.cfg").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() in ("version_info", "version"):
            version = value.strip()
            purl = f"pkg:generic/python@{version}?arch={platform.machine()}"
            yield {"type": "application", "name": "python", "version": version, "purl": purl}
    for metadata in environment.glob("lib/python*/*/*.dist-info/METADATA"):
        package = HeaderParser().parsestr(metadata.read_text(errors="replace"))
        name, version = package["Name"].lower().replace("_", "-"), package["Version"]
        part = {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        if package.get("License-Expression"):
            part["licenses"] = [{"expression": package["License-Expression"]}]
        elif package.get("License") and "\n" not in package["License"]:
            part["licenses"] = [{"license": {"name": package["License"]}}]
        yield part


if __name__ == "__main__":
    json.dump(document(sys.argv[1], sys.argv[2], [Path(folder) for folder in sys.argv[3:]]), sys.stdout, indent=1)
