"""Who may log in, on a real hub: with an empty password on loopback, with one from a file, by a proxy's signature."""

import asyncio
import json

import pytest

from kf_spawner.hub.login.brake import FREE_OF_SOURCE
from kf_spawner.serving import IAP_HEADER
from tests.fixtures.hub import Browser, ProductHub

from .conftest import until
from .test_iap import AUDIENCE, UNSIGNED, KeyServer, Signer

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
        async with Browser(hub.url) as guesser:
            await a_page_elsewhere_uses_up_nobodys_attempts(guesser, user, "open sesame")
            await guesses_are_braked(guesser, user)
            await who_has_logged_in_before_does_not_wait(browser, user, "open sesame")
            await until(lambda: logged_in(guesser, user, "open sesame"))
    assert "open sesame" not in hub.log.read_text()


JSON = {"Content-Type": "application/json"}
ELSEWHERE = [
    ({"Content-Type": "text/plain"}, 415, "Content-Type: application/json"),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "Content-Type: application/json"),
    ({**JSON, "Origin": "https://evil.example"}, 403, "another origin"),
    ({**JSON, "Origin": "null"}, 403, "another origin"),
]
"""What a page elsewhere can make its visitor's browser send -> the answer."""


async def a_page_elsewhere_uses_up_nobodys_attempts(visitor, user, password):
    path = f"/hub/api/users/{user}/tokens"

    def body(given):
        return json.dumps({"auth": {"username": user, "password": given}})

    for headers, expected, words in ELSEWHERE:
        for _ in range(FREE_OF_SOURCE):
            status, answer = await visitor.send("POST", path, body("guess"), headers=headers)
            assert status == expected, answer
            assert words in answer
    for headers in (JSON, {**JSON, "Origin": visitor.url}):
        status, answer = await visitor.send("POST", path, body(password), headers=headers)
        assert status == 201, answer


async def guesses_are_braked(guesser, user):
    for _ in range(FREE_OF_SOURCE):
        status, page, _ = await guesser.try_login(user, "guess")
        assert status == 403
        assert "Invalid username or password" in page

    async def braked():  # the first wait is a second, in which a busy machine may not manage a request
        status, page, headers = await guesser.try_login(user, "guess")
        return status == 429 and (page, headers)

    page, headers = await until(braked)
    assert "Too many wrong passwords. Try again in" in page
    assert 'name="password"' in page
    assert int(headers["Retry-After"]) > 0


async def who_has_logged_in_before_does_not_wait(browser, user, password):
    await browser.get("/hub/logout")
    await browser.login(user, password)
    assert await cookie_user(browser)


async def logged_in(browser, user, password):
    await browser.login(user, password)
    return await cookie_user(browser)


async def test_the_signature_of_an_identity_aware_proxy(control_plane, hub_roles, tmp_path):
    keys = KeyServer(Signer("first"))
    await keys.start()
    settings = f"--IapAuthenticator.keys_url={keys.url}"
    env = {"KF_AUTHENTICATOR": "iap", "KF_BIND_HOST": "0.0.0.0", "KF_IAP_AUDIENCE": AUDIENCE}
    hub = ProductHub(tmp_path, control_plane, settings, **env)
    async with keys.server, hub, Browser(hub.url) as browser:
        await logs_in_by_a_signature_only(browser, keys.signers[0])


async def logs_in_by_a_signature_only(browser, signer):
    for unsigned in ({}, {UNSIGNED: "accounts.google.com:admin"}, {IAP_HEADER: Signer(signer.key_id).sign()}):
        status, page = await browser.get("/hub/login", headers=unsigned)
        assert status == 401
        assert IAP_HEADER in page
        assert not await cookie_user(browser)
    await browser.get("/hub/login", headers={IAP_HEADER: signer.sign()})
    assert await cookie_user(browser)
    _, text = await browser.api("GET", "/user")
    assert '"ada@example.com"' in text


REFUSALS = [
    ({"KF_BIND_HOST": "0.0.0.0"}, "set KF_BIND_HOST=127.0.0.1"),
    ({"KF_HUB_HOST": "0.0.0.0"}, "set KF_HUB_HOST=127.0.0.1"),
    ({"KF_AUTHENTICATOR": "ldap"}, "give one of local, null, iap"),
    ({"KF_AUTHENTICATOR": "iap"}, "needs KF_IAP_AUDIENCE"),
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
