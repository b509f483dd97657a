"""helm, and a control plane of these tests' own: they install and remove what others' tests rely upon."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.fixtures import helm as helms
from tests.fixtures.control_plane import ControlPlane, running
from tests.fixtures.helm import Z2JH, Helm

_numbers = itertools.count()


@pytest.fixture(scope="package")
def program() -> Path:
    return asyncio.run(helms.ensure(print))


@pytest.fixture(scope="package")
def z2jh() -> dict:
    return yaml.safe_load(Z2JH.read_text())


@pytest.fixture(scope="package")
def plane(control_plane_binaries) -> Iterator[ControlPlane]:
    with running(control_plane_binaries) as plane:
        yield plane


@pytest.fixture(scope="package")
def renderer(program, tmp_path_factory) -> Helm:
    """helm without a cluster."""
    folder = tmp_path_factory.mktemp("helm")
    return Helm(program, folder=folder, kubeconfig=folder / "none", namespace="hubs")


@pytest.fixture
def helm(program, plane, tmp_path) -> Helm:
    """helm at the control plane, in a namespace of the test's own, which is called as a user's could be."""
    namespace = f"kf-release-{next(_numbers)}"
    done = plane.kubectl("create", "namespace", namespace)
    assert done.returncode == 0, done.stderr
    return Helm(program, folder=tmp_path, kubeconfig=plane.admin_kubeconfig, namespace=namespace)
