"""Fixtures: the workspace of one user, a Jupyter server in it, and a platform that runs its jobs.

Namespace, home directory and server are shared; each test finds them empty.
"""

import asyncio
from pathlib import Path

import pytest

from tests.extension.jupyter_server import connected, start_server
from tests.fixtures.platform import PLAIN_IMAGE, running_platform
from tests.fixtures.user_namespace import make_user_namespace, workspace_in


@pytest.fixture(scope="package")
def user_namespace(control_plane, tmp_path_factory):
    return asyncio.run(
        make_user_namespace(Path(control_plane.admin_kubeconfig), tmp_path_factory.mktemp("user_namespace"))
    )


@pytest.fixture
async def workspace(user_namespace):
    async with workspace_in(user_namespace) as made:
        yield made


@pytest.fixture(scope="package")
def server_process(user_namespace, tmp_path_factory):
    process = start_server(user_namespace, tmp_path_factory.mktemp("server"))
    yield process
    process.end()


@pytest.fixture
async def server(workspace, server_process):
    async with connected(server_process) as made:
        yield made


@pytest.fixture(scope="module")
def platform(control_plane_binaries, tmp_path_factory):
    with running_platform(control_plane_binaries, tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def live_user_namespace(platform, tmp_path_factory):
    return asyncio.run(make_user_namespace(platform.admin_kubeconfig, tmp_path_factory.mktemp("user_namespace")))


@pytest.fixture
async def live_workspace(live_user_namespace):
    async with workspace_in(live_user_namespace) as made:
        yield made


@pytest.fixture(scope="module")
def live_server_process(live_user_namespace, tmp_path_factory):
    process = start_server(
        live_user_namespace, tmp_path_factory.mktemp("server"), variables={"KF_IMAGE": PLAIN_IMAGE}
    )
    yield process
    process.end()


@pytest.fixture
async def live_server(live_workspace, live_server_process):
    """A server whose jobs really run."""
    async with connected(live_server_process) as made:
        yield made
