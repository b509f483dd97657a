"""A control plane that takes privileged pods, as clusters do: it is for the policies to refuse them."""

from collections.abc import Iterator

import pytest

from kf_spawner.localcluster.controlplane.binaries import Binaries
from tests.fixtures.control_plane import ControlPlane, running


@pytest.fixture(scope="package")
def control_plane(control_plane_binaries: Binaries) -> Iterator[ControlPlane]:
    with running(control_plane_binaries, flags=["--allow-privileged"]) as plane:
        yield plane
