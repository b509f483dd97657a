"""Packaging of kf-spawner-control-plane. `scripts/release` copies this folder, adds the programs and builds it."""

import json
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel

HERE = Path(__file__).resolve().parent
BUILD = json.loads((HERE / "build.json").read_text())


class Platform(Distribution):
    """What is not only Python, though setuptools compiles none of it."""

    def has_ext_modules(self) -> bool:
        return True


class Wheel(bdist_wheel):
    """A wheel for one platform and every Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", BUILD["platform"]


setup(
    name="kf-spawner-control-plane",
    version=BUILD["version"],
    description="etcd and Kubernetes' own programs for kf-spawner's local cluster",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE", "THIRD-PARTY.txt"],
    python_requires=">=3.11",
    packages=["kf_spawner_control_plane"],
    package_data={"kf_spawner_control_plane": ["bin/*", "key"]},
    distclass=Platform,
    cmdclass={"bdist_wheel": Wheel},
)
