"""The bill of materials: every package of Debian and of each environment, once, in a form that tools read."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "images" / "common" / "container" / "sbom.py"
STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Version: 2.36-9+deb12u13

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 1:2026b-0+deb12u1
Description: time zones
 of the world
"""


@pytest.fixture(scope="module")
def sbom():
    spec = importlib.util.spec_from_file_location("sbom", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def environment(tmp_path):
    folder = tmp_path / "python"
    folder.mkdir()
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion_info = 3.11.2\n")
    packages = {"site-packages/Flask_Thing": "License-Expression: MIT", "pip/old": "License: BSD"}
    for path, head in packages.items():
        metadata = folder / "lib" / "python3.11" / f"{path}-1.0.dist-info" / "METADATA"
        name = path.partition("/")[2]
        metadata.parent.mkdir(parents=True)
        metadata.write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{head}\n\nWords: and more\n")
    return folder


def test_everything_is_in_it_once(sbom, environment, tmp_path):
    status = tmp_path / "status"
    status.write_text(STATUS)
    document = sbom.document("hub", "0.1.0", [environment, environment], status)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert document["metadata"]["component"] == {"type": "container", "name": "hub", "version": "0.1.0"}
    urls = [part["purl"].split("?")[0] for part in document["components"]]
    assert urls == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13",
        "pkg:deb/debian/tzdata@1%3A2026b-0%2Bdeb12u1",
        "pkg:generic/python@3.11.2",
        "pkg:pypi/flask-thing@1.0",
        "pkg:pypi/old@1.0",
    ]
    licenses = {part["name"]: part.get("licenses") for part in document["components"]}
    assert licenses["flask-thing"] == [{"expression": "MIT"}]
    assert licenses["old"] == [{"license": {"name": "BSD"}}]


def test_it_is_the_same_every_time(environment):
    command = [sys.executable, str(SCRIPT), "hub", "0.1.0", str(environment)]
    first, second = (subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2))
    assert first == second
    assert json.loads(first)["components"]
