"""Who may log in, on a real hub: with an empty password on loopback, with one from a file, on a proxy's word."""

import asyncio

import pytest

from tests.fixtures.hub import Browser, ProductHub

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def cookie_user(browser) -> bool:
    status, page = await browser.get("/hub/token")
    return status == 200 and "Sign in" not in page


async def test_an_empty_password_on_loopback(hub, user):
    async with Browser(hub.url) as browser:
        _, page = await browser.get("/hub/login")
        assert "leave the password empty" in page
        await browser.login("nobody")
        assert not await cookie_user(browser)
        await browser.login(user, "guess")
        assert not await cookie_user(browser)
        await browser.login(user)
        assert await cookie_user(browser)
        await browser.get("/hub/logout")
        assert not await cookie_user(browser)


async def test_a_foreign_name_for_this_machine_sees_no_page(hub, user):
    """A page on the internet that points a name of its own at 127.0.0.1 must not get in."""
    async with Browser(hub.url) as browser:
        await browser.login(user)
        for path in ("/hub/home", "/hub/login", "/hub/api/", f"/user/{user}/", "/services/tfjobs/"):
            status, page = await browser.get(path, headers={"Host": "evil.example:8000"})
            assert status == 403, path
            assert "localhost and 127.0.0.1 only" in page
        assert await cookie_user(browser)


async def test_a_password_from_a_file(control_plane, hub_roles, tmp_path, user):
    secret = tmp_path / "password"
    secret.write_text("open sesame\n")
    secret.chmod(0o600)
    hub = ProductHub(tmp_path, control_plane, KF_USERS=user, KF_PASSWORD_FILE=str(secret), KF_BIND_HOST="0.0.0.0")
    async with hub, Browser(hub.url) as browser:
        _, page = await browser.get("/hub/login")
        assert "password empty" not in page
        await browser.login(user)
        assert not await cookie_user(browser)
        await browser.login(user, "open sesame")
        assert await cookie_user(browser)
    assert "open sesame" not in hub.log.read_text()


async def test_the_word_of_an_identity_aware_proxy(control_plane, hub_roles, tmp_path):
    header = "x-goog-authenticated-user-email"
    hub = ProductHub(tmp_path, control_plane, KF_AUTHENTICATOR="iap", KF_BIND_HOST="0.0.0.0")
    async with hub, Browser(hub.url) as browser:
        status, page = await browser.get("/hub/login")
        assert status == 401
        assert header in page
        await browser.get("/hub/login", headers={header: "accounts.google.com:ada@example.com"})
        assert await cookie_user(browser)
        _, text = await browser.api("GET", "/user")
        assert '"ada@example.com"' in text


REFUSALS = [
    ({"KF_BIND_HOST": "0.0.0.0"}, "set KF_BIND_HOST=127.0.0.1"),
    ({"KF_HUB_HOST": "0.0.0.0"}, "set KF_HUB_HOST=127.0.0.1"),
    ({"KF_AUTHENTICATOR": "ldap"}, "give one of local, null, iap"),
]
"""What reaches the authenticator, and one of a variable; the others are tested where they are read."""


async def test_the_hub_refuses_to_start_and_says_what_to_set(control_plane, tmp_path):
    async def refusal(number, env):
        folder = tmp_path / str(number)
        folder.mkdir()
        return await ProductHub(folder, control_plane, **env).refuses_to_start()

    outputs = await asyncio.gather(*(refusal(number, env) for number, (env, _) in enumerate(REFUSALS)))
    for (env, words), output in zip(REFUSALS, outputs, strict=True):
        assert words in output, (env, output[-2000:])
