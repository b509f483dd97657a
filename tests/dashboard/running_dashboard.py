"""The dashboard on a whole platform: door, hub, proxy, dashboard, operator, and a node that really runs pods."""

import asyncio
import contextlib
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from kf_spawner.door.dynamic import Targets, dynamic
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import NAMESPACES, ROLEBINDINGS, SERVICEACCOUNTS
from kf_spawner.naming import user_namespace
from kf_spawner.spawner import manifests
from kf_spawner.tfjob.names import TFJOBS
from tests.fixtures.bare_hub import DOOR_TOKEN, Process, until
from tests.fixtures.door import running_door
from tests.fixtures.hub import ProductHub
from tests.fixtures.platform import ROOT, Platform
from tests.fixtures.ports import free_ports

PREFIX = "/services/tfjobs/"


class RunningDashboard:
    """`url` is the door's; the dashboard is below it at PREFIX."""

    def __init__(self, platform: Platform, url: str, admin: Client):
        self.platform = platform
        self.url = url
        self.admin = admin

    @property
    def address(self) -> str:
        return self.url + PREFIX

    async def set_up(self, user: str) -> str:
        """The user's namespace, as the first start of a notebook server leaves it."""
        name = user_namespace(user)
        space = manifests.namespace(name, user=user, labels={}, annotations={})
        await self.admin.create(NAMESPACES, space)
        await self.admin.create(SERVICEACCOUNTS, manifests.account(name))
        await self.admin.create(ROLEBINDINGS, manifests.binding(name))
        user_client = self.admin.acting_as(f"system:serviceaccount:{name}:{manifests.ACCOUNT}")
        async with asyncio.timeout(60):
            while not await _may_list_jobs(user_client, name):  # the API server takes a moment to read a new role
                await asyncio.sleep(0.05)
        return name


async def _may_list_jobs(client: Client, namespace: str) -> bool:
    try:
        await client.list(TFJOBS, namespace)
    except Forbidden:
        return False
    return True


@contextlib.asynccontextmanager
async def run_dashboard(platform: Platform, folder: Path, *, users: list[str]) -> AsyncIterator[RunningDashboard]:
    """Starts hub and dashboard beside a platform that runs."""
    (port,) = free_ports(1)
    token = secrets.token_hex(16)
    images = str(platform.folder / "images")
    hub = ProductHub(
        folder,
        platform.plane,
        KF_DASHBOARD_URL=f"http://127.0.0.1:{port}",
        KF_DASHBOARD_TOKEN=token,
        KF_IMAGES_DIR=images,
        KF_USERS=",".join(users),
    )
    async with Client(load_config(platform.admin_kubeconfig), user_agent="test") as admin, hub:
        process = Process(
            [
                sys.executable,
                "-m",
                "kf_spawner.dashboard",
                f"--kubeconfig={platform.plane.credentials.client('dashboard')}",
                f"--port={port}",
            ],
            log=folder / "dashboard.log",
            cwd=ROOT,
            env={
                "JUPYTERHUB_API_TOKEN": token,
                "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.env['KF_HUB_PORT']}/hub/api",
                "JUPYTERHUB_BASE_URL": "/",
                "JUPYTERHUB_CLIENT_ID": "service-tfjobs",
                "JUPYTERHUB_SERVICE_NAME": "tfjobs",
                "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
                "KF_IMAGES_DIR": images,
            },
        )
        targets = Targets(hub.url, "http://127.0.0.1:1", DOOR_TOKEN)  # no endpoints
        async with process, running_door(folder, lambda: dynamic(targets, [])) as door:
            await until(f"{door.url}{PREFIX}healthz")
            yield RunningDashboard(platform, door.url, admin)
