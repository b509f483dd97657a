"""Fixtures: the world of one user, a Jupyter server in it, and a platform that runs its jobs."""

from pathlib import Path

import pytest

from tests.extension.platform import PLAIN_IMAGE, Platform
from tests.extension.world import make_world, run_server
from tests.fixtures.control_plane import ControlPlane


@pytest.fixture
async def world(control_plane, tmp_path):
    async with make_world(Path(control_plane.admin_kubeconfig), tmp_path) as made:
        yield made


@pytest.fixture
async def server(world, tmp_path):
    async with run_server(world, tmp_path) as started:
        yield started


@pytest.fixture(scope="module")
def platform(control_plane_binaries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("platform")
    plane = ControlPlane.prepare(folder / "home", control_plane_binaries)
    running = Platform(plane, folder)
    try:
        plane.start()
        running.start()
        yield running
    finally:
        running.stop()
        plane.stop()
        running.starter.shutdown()


@pytest.fixture
async def live_world(platform, tmp_path):
    async with make_world(platform.admin_kubeconfig, tmp_path) as made:
        yield made


@pytest.fixture
async def live_server(live_world, tmp_path):
    """A server whose jobs really run."""
    async with run_server(live_world, tmp_path, variables={"KF_IMAGE": PLAIN_IMAGE}) as started:
        yield started
