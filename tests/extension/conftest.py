"""Fixtures: the world of one user, a Jupyter server in it, and a platform that runs its jobs.

Namespace, home directory and server are shared; each test finds them empty.
"""

import asyncio
from pathlib import Path

import pytest

from tests.extension.world import connected, make_grounds, start_server, world_on
from tests.fixtures.platform import PLAIN_IMAGE, running_platform


@pytest.fixture(scope="session")
def grounds(control_plane, tmp_path_factory):
    return asyncio.run(make_grounds(Path(control_plane.admin_kubeconfig), tmp_path_factory.mktemp("grounds")))


@pytest.fixture
async def world(grounds):
    async with world_on(grounds) as made:
        yield made


@pytest.fixture(scope="session")
def server_process(grounds, tmp_path_factory):
    process = start_server(grounds, tmp_path_factory.mktemp("server"))
    yield process
    process.end()


@pytest.fixture
async def server(world, server_process):
    async with connected(server_process) as made:
        yield made


@pytest.fixture(scope="module")
def platform(control_plane_binaries, tmp_path_factory):
    with running_platform(control_plane_binaries, tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def live_grounds(platform, tmp_path_factory):
    return asyncio.run(make_grounds(platform.admin_kubeconfig, tmp_path_factory.mktemp("grounds")))


@pytest.fixture
async def live_world(live_grounds):
    async with world_on(live_grounds) as made:
        yield made


@pytest.fixture(scope="module")
def live_server_process(live_grounds, tmp_path_factory):
    process = start_server(live_grounds, tmp_path_factory.mktemp("server"), variables={"KF_IMAGE": PLAIN_IMAGE})
    yield process
    process.end()


@pytest.fixture
async def live_server(live_world, live_server_process):
    """A server whose jobs really run."""
    async with connected(live_server_process) as made:
        yield made
