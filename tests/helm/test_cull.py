"""What `cull` makes of the hub: a real hub with the chart's configuration ends a server that nobody uses."""

import asyncio
import json
from pathlib import Path

import pytest

from kf_spawner.kube import Client, load_config
from tests.fixtures.helm import only
from tests.fixtures.hub import Browser, ProductHub
from tests.fixtures.hub_node import HandNode

MANIFESTS = Path(__file__).parents[2] / "kf_spawner" / "manifests"
AT_ONCE = {"enabled": True, "timeout": 1, "every": 1}


@pytest.fixture
def configuration(renderer, tmp_path) -> Path:
    """The folder that the hub's pod has from the chart."""
    folder = tmp_path / "config"
    folder.mkdir()
    for name, text in only(renderer.render({"cull": AT_ONCE}), "Secret", "hub-config")["stringData"].items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def hub_account(plane):
    for name in ("rbac-hub.yaml", "rbac-notebook.yaml"):
        done = plane.kubectl("apply", "-f", str(MANIFESTS / name))
        assert done.returncode == 0, done.stderr
    who = ["clusterrolebinding", "kf-hub-test"]
    done = plane.kubectl("create", *who, "--clusterrole=kf-spawner-hub", "--user=kf-spawner:hub")
    assert done.returncode == 0, done.stderr
    yield
    plane.kubectl("delete", *who)
    plane.kubectl("delete", "clusterrole", "kf-spawner-hub", "kf-spawner-notebook")


def test_a_server_that_nobody_uses_is_ended(configuration, hub_account, plane, tmp_path):
    hub = ProductHub(tmp_path, plane, KF_USERS="ada", KF_CONFIG_DIR=str(configuration))
    asyncio.run(ends(plane, hub, "ada"))
    assert "Culling server ada" in hub.log.read_text()


async def ends(plane, hub: ProductHub, user: str) -> None:
    async with Client(load_config(plane.admin_kubeconfig), user_agent="test") as client, HandNode(client) as node:
        async with asyncio.timeout(60):
            while not await node.takes_pods():
                await asyncio.sleep(0.05)
        async with hub, Browser(hub.url) as browser:
            await browser.login(user)
            await browser.submit(user, cpu="100m", memory="1Gi")
            async with asyncio.timeout(120):
                while "Culling server" not in hub.log.read_text() or await servers(browser, user):
                    await asyncio.sleep(0.1)


async def servers(browser: Browser, user: str) -> dict:
    status, text = await browser.api("GET", f"/users/{user}")
    assert status == 200, text
    return json.loads(text)["servers"]


def test_it_may_do_what_its_values_need_and_nothing_else(renderer):
    def role(**values) -> dict:
        config = only(renderer.render({"cull": {**AT_ONCE, **values}}), "Secret", "hub-config")["stringData"]
        (found,) = json.loads(config["additions.json"])["JupyterHub"]["load_roles"]
        return found

    servers_alone = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
    assert role()["scopes"] == servers_alone
    assert role(users=True)["scopes"] == [*servers_alone, "delete:users"]
    config = only(renderer.render(), "Secret", "hub-config")["stringData"]
    assert json.loads(config["additions.json"])["JupyterHub"] == {"load_roles": [], "services": []}
