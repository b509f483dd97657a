"""`up --subdomains` in a real Chromium: each user's server has an origin of its own, and so has the hub."""

import json
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from . import product as products
from .browser import SPAWN_TIMEOUT, log_in, open_page, picture
from .client import HubClient

pytestmark = pytest.mark.timeout(900)

NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "source": "print(6 * 7)", "metadata": {}, "outputs": [], "execution_count": None}
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 4,
}
ATTACK = """
<body><script>
const { hub, dashboard, neighbour } = Object.fromEntries(new URLSearchParams(location.search));
const mine = { credentials: "include" };
const token = { method: "POST", body: "{}", ...mine };
const text = async (url, how = mine) => {
  const answer = await fetch(url, how);
  return `${answer.status} ${answer.url} ${(await answer.text()).slice(0, 80)}`;
};
const attempts = {
  "the hub's page here": () => text("/hub/token"),
  "a login here": () => text("/hub/login"),
  "the hub's page": () => text(`${hub}/hub/token`),
  "who is there": () => text(`${hub}/hub/api/user`),
  "a token": () => text(`${hub}/hub/api/users/admin/tokens`, token),
  "a token, blindly": () => text(`${hub}/hub/api/users/admin/tokens`, { mode: "no-cors", ...token }),
  "the dashboard": () => text(`${dashboard}/services/tfjobs/api/user`),
  "the neighbour's files": () => text(`${neighbour}/user/admin/api/contents`),
  "a frame": () => new Promise((done, fail) => {
    const frame = document.createElement("iframe");
    frame.src = `${hub}/hub/token`;
    frame.onload = () => { try { done(frame.contentDocument.body.innerText); } catch (error) { fail(error); } };
    document.body.append(frame);
  }),
  "cookies": () => {
    document.cookie = "tossed=1; Domain=localhost; Path=/";
    document.cookie = `tossed=1; Domain=${new URL(neighbour).hostname}; Path=/`;
    return document.cookie;
  },
};
(async () => {
  const seen = {};
  for (const [name, attempt] of Object.entries(attempts))
    try { seen[name] = await attempt(); } catch (error) { seen[name] = `failed: ${error.name}`; }
  window.seen = seen;
})();
</script></body>
"""
SERVER_CONFIG = f"""
import sys, types
from tornado import web

class Attack(web.RequestHandler):
    def get(self):
        self.finish({ATTACK!r})

def load(app):
    app.web_app.add_handlers(".*$", [(app.web_app.settings["base_url"] + "attack", Attack)])

sys.modules["attack"] = module = types.ModuleType("attack")
module._jupyter_server_extension_points = lambda: [{{"module": "attack"}}]
module._load_jupyter_server_extension = load
c.ServerApp.jpserver_extensions = {{"attack": True}}
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    """Alice's server sends whoever opens it a page that attacks; no login is needed to get it."""
    home = tmp_path_factory.mktemp("domains") / "home"
    volumes = home / "volumes"
    write(volumes / "kf-admin" / "claim-admin" / "small.ipynb", json.dumps(NOTEBOOK))
    write(volumes / "kf-alice" / "claim-alice" / ".jupyter" / "jupyter_server_config.py", SERVER_CONFIG)
    running = products.start(home, "--subdomains", env={"KF_USERS": "admin,alice"})
    yield running
    assert running.stop() == 0, "\n".join(running.output[-30:])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


def at(product, name: str) -> str:
    """The address of what has this name below the hub's."""
    return f"http://{name}.localhost:{product.port}"


@pytest.fixture
async def page(product):
    async with open_page(product.hub.removesuffix("/hub")) as page:
        yield page


@pytest.fixture
async def admin(product):
    async with HubClient(product.hub) as person:
        yield person
        await person.make_token()
        await person.stop_server()


async def cookies(page: Page) -> dict[str, set[str]]:
    """Name -> the hosts that it goes to. A host that begins with a dot stands for all below it."""
    found: dict[str, set[str]] = {}
    for cookie in await page.context.cookies():
        found.setdefault(cookie["name"], set()).add(cookie["domain"])
    return found


async def test_a_day(product, page, admin):
    """Own server at its own domain, a cell, the dashboard, endpoints, cookies, and the end of it all."""
    assert product.hub == f"http://localhost:{product.port}/hub"
    await log_in(page, admin)
    await page.wait_for_url("**/hub/spawn**")
    await page.get_by_role("button", name="Start").click()
    mine = f"{at(product, 'admin')}/user/admin"
    await page.wait_for_url(f"{mine}/lab**", timeout=SPAWN_TIMEOUT)
    await expect(page.locator("#jp-main-dock-panel")).to_be_visible()

    await page.goto(f"{admin.url}/user-redirect/lab/tree/small.ipynb?reset")
    await page.wait_for_url(f"{mine}/lab/tree/small.ipynb**")
    await expect(page.get_by_text("| Idle")).to_be_visible()
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    await page.get_by_text("Run All Cells", exact=True).click()
    await expect(page.locator(".jp-OutputArea-output", has_text="42")).to_be_visible()
    await picture(page, "domains-1-lab")

    await page.goto(f"{admin.url}/hub/home")
    await page.get_by_role("link", name="TFJobs").click()
    await page.wait_for_url(f"{at(product, 'tfjobs--service')}/services/tfjobs/**")
    await expect(page.get_by_role("heading", name="TFJobs")).to_be_visible()
    logo = page.get_by_role("img", name="kf_spawner: home")
    assert await logo.evaluate("logo => logo.complete && logo.naturalWidth > 0")
    await picture(page, "domains-2-dashboard")
    await page.get_by_role("link", name="Home", exact=True).click()
    await page.wait_for_url(f"{admin.url}/hub/home")

    path = "/serving/kf-admin/digits/v1/models/digits"
    answer = await page.goto(f"http://127.0.0.1:{product.port}{path}")
    assert (answer.status, answer.headers["kf-door"]) == (401, "Unauthorized")
    for host in (admin.url, at(product, "admin"), at(product, "nobody")):
        answer = await page.goto(host + path)
        assert (answer.status, answer.url) == (404, f"{admin.url}/hub{path}")
        assert "kf-door" not in answer.headers
    answer = await page.goto(f"http://127.0.0.1:{product.port}/hub/home")
    assert answer.url == f"{admin.url}/hub/home"

    hosts = await cookies(page)
    assert {name: of for name, of in hosts.items() if name != "_xsrf"} == {
        "jupyterhub-hub-login": {"localhost"},
        "jupyterhub-session-id": {"localhost"},
        "jupyterhub-user-admin": {"admin.localhost"},
        "service-tfjobs": {"tfjobs--service.localhost"},
    }

    await page.goto(f"{mine}/logout")
    await page.wait_for_url(f"{admin.url}/hub/login**")
    assert "jupyterhub-user-admin" not in await cookies(page)
    await page.goto(f"{mine}/lab")
    await page.wait_for_url(f"{admin.url}/hub/login**")


async def test_a_page_of_another_users_server_reads_nothing_and_changes_nothing(product, page, admin):
    """Without domains it makes a token of the administrator who opens it."""
    await admin.make_token()
    async with HubClient(product.hub, "alice") as alice:
        await alice.make_token()
        await alice.spawn({})
        await log_in(page, admin)
        await page.wait_for_url("**/hub/**")
        _, before = await admin.api("GET", "/users/admin/tokens")
        asks = f"hub={admin.url}&dashboard={at(product, 'tfjobs--service')}&neighbour={at(product, 'admin')}"
        await page.goto(f"{admin.url}/user/alice/attack?{asks}")
        await page.wait_for_url(f"{at(product, 'alice')}/user/alice/attack?**")
        await page.wait_for_function("window.seen")
        seen = await page.evaluate("window.seen")
        _, after = await admin.api("GET", "/users/admin/tokens")
        await alice.stop_server()
    here = f"424 {at(product, 'alice')}"
    assert seen.pop("the hub's page here").startswith(f"{here}/hub/token Nothing runs at this address")
    assert seen.pop("a login here").startswith(f"{here}/hub/login Nothing runs at this address")
    assert seen.pop("a token, blindly") == "0  ", "the answer cannot be read"
    assert seen.pop("a frame").startswith("failed: ")
    assert "tossed" not in seen.pop("cookies")
    assert set(seen.values()) == {"failed: TypeError"}, seen
    assert [each["id"] for each in after["api_tokens"]] == [each["id"] for each in before["api_tokens"]]
