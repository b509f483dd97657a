"""Fixtures: a user's namespace, a Jupyter server in it, and a platform that runs its jobs.

The tests share them; each finds them empty.
"""

import pytest

from tests.fixtures.jupyter_server import connected, start_server
from tests.fixtures.live_server import (  # noqa: F401
    live_server,
    live_server_process,
    live_user_namespace,
    live_workspace,
    platform,
)
from tests.fixtures.workspace import user_namespace, workspace  # noqa: F401


@pytest.fixture(scope="package")
def server_process(user_namespace, tmp_path_factory):  # noqa: F811
    process = start_server(user_namespace, tmp_path_factory.mktemp("server"))
    yield process
    process.end()


@pytest.fixture
async def server(workspace, server_process):  # noqa: F811
    async with connected(server_process) as made:
        yield made
