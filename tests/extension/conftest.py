"""Fixtures: the world of one user, and a Jupyter server in it."""

from pathlib import Path

import pytest

from tests.extension.world import make_world, run_server


@pytest.fixture
async def world(control_plane, tmp_path):
    async with make_world(Path(control_plane.admin_kubeconfig), tmp_path) as made:
        yield made


@pytest.fixture
async def server(world, tmp_path):
    async with run_server(world, tmp_path) as started:
        yield started
