"""local and null: which password files are good, who needs no password."""

import os
from types import SimpleNamespace

import pytest
from tornado import web

from kf_spawner.hub.forwarded import FORWARDED_FOR, PROOF, proof
from kf_spawner.hub.login import AUTHENTICATORS, LocalAuthenticator
from kf_spawner.hub.login.brake import FREE_OF_SOURCE, FREE_OF_STRANGERS
from kf_spawner.hub.login.known_browser import COOKIE, known
from kf_spawner.hub.login.later import Later
from kf_spawner.hub.login.local import read_password
from kf_spawner.hub.login.unsafe import UnsafeLogin


def test_a_password_file_that_others_can_read_is_refused(tmp_path):
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o640)
    with pytest.raises(UnsafeLogin, match="chmod 600"):
        read_password(file)
    file.chmod(0o600)
    assert read_password(file) == "x"
    file.write_text("\n")
    with pytest.raises(UnsafeLogin, match="is empty"):
        read_password(file)


def test_a_group_may_read_a_file_of_roots(tmp_path, monkeypatch):
    """As in a pod: a mounted Secret is root's, and the pod's group may read it."""
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o440)
    if file.stat().st_uid != 0:
        pytest.skip("only root can make a file of root's")
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    assert read_password(file) == "x"
    file.chmod(0o444)
    with pytest.raises(UnsafeLogin, match="chmod 600"):
        read_password(file)


def test_an_unreadable_password_file_is_named():
    with pytest.raises(UnsafeLogin, match="/nowhere/password cannot be read"):
        LocalAuthenticator(password_file="/nowhere/password")


def browser_at(host):
    """What an authenticator asks a request for."""
    return SimpleNamespace(request=SimpleNamespace(host=host))


class Caller:
    """The same where there is a password. `hops` is a value of X-Forwarded-For, which the proxy has signed or not."""

    settings = {"login_url": "/hub/login", "cookie_secret": b"cookie secret"}

    def __init__(self, peer, hops="", *, secret=None):
        self.cookies = {}
        socket = SimpleNamespace(getpeername=lambda: (peer, 40000))
        headers = {FORWARDED_FOR: hops, PROOF: proof(secret, hops) if secret else ""}
        connection = SimpleNamespace(stream=SimpleNamespace(socket=socket))
        self.request = SimpleNamespace(headers=headers, connection=connection, protocol="https")

    def get_signed_cookie(self, name, max_age_days):
        return self.cookies.get(name)

    def set_signed_cookie(self, name, value, **attributes):
        assert (attributes["path"], attributes["httponly"], attributes["secure"]) == ("/hub/login", True, True)
        self.cookies[name] = value.encode()


@pytest.fixture
def guarded(tmp_path):
    """An authenticator with the password "right" for ada; grace is blocked."""
    file = tmp_path / "password"
    file.write_text("right")
    file.chmod(0o600)
    return LocalAuthenticator(
        password_file=str(file),
        allowed_users={"ada", "grace"},
        blocked_users={"grace"},
        proxy_secret="secret",
        trusted_proxies=["10.0.0.7"],
    )


async def attempt(authenticator, caller, password, user="ada"):
    return await authenticator.authenticate(caller, {"username": user, "password": password})


async def is_braked(authenticator, caller):
    """Whether the right password is not looked at for now."""
    try:
        assert await attempt(authenticator, caller, "right") == "ada"
    except Later as later:
        return later.status_code == 429 and int(later.headers["Retry-After"]) > 0
    return False


async def test_wrong_passwords_count_for_the_address_that_the_proxy_has_signed(guarded):
    for number in range(FREE_OF_SOURCE):
        through_the_proxy = Caller("10.1.1.1", f"192.0.2.{number}, 198.51.100.1, 10.0.0.7", secret="secret")
        assert await attempt(guarded, through_the_proxy, "wrong", user=f"user{number}") is None
    assert await is_braked(guarded, through_the_proxy)
    assert not await is_braked(guarded, Caller("10.1.1.1", "198.51.100.2, 10.0.0.7", secret="secret"))


async def test_who_reaches_the_hub_without_its_proxy_cannot_pretend_an_address(guarded):
    for number in range(FREE_OF_SOURCE):
        assert await attempt(guarded, Caller("10.1.1.1", f"192.0.2.{number}", secret="guess"), "wrong") is None
    assert await is_braked(guarded, Caller("10.1.1.1", "192.0.2.99"))
    assert not await is_braked(guarded, Caller("10.1.1.2"))


async def test_where_a_hop_is_no_address_the_one_who_connected_counts(guarded):
    for _ in range(FREE_OF_SOURCE):
        await attempt(guarded, Caller("10.1.1.1", "unknown", secret="secret"), "wrong")
    assert await is_braked(guarded, Caller("10.1.1.1", "unknown", secret="secret"))
    assert not await is_braked(guarded, Caller("10.1.1.2", "unknown", secret="secret"))


async def test_a_browser_with_a_login_has_a_count_of_its_own(guarded):
    before, stranger = Caller("10.1.1.1"), Caller("10.1.1.1")
    assert await attempt(guarded, before, "right", user="Ada") == "Ada"
    for _ in range(FREE_OF_SOURCE):
        await attempt(guarded, stranger, "wrong")
    assert await is_braked(guarded, stranger)
    assert not await is_braked(guarded, before)
    for _ in range(FREE_OF_SOURCE):
        await attempt(guarded, before, "wrong")
    assert await is_braked(guarded, before)


async def test_a_browser_that_knew_an_earlier_password_is_a_stranger(guarded):
    browser = Caller("10.1.1.1")
    assert await attempt(guarded, browser, "right") == "ada"
    assert known(browser, "right")
    assert known(browser, "new") is None
    browser.settings = {**browser.settings, "cookie_secret": b"another"}
    assert known(browser, "right") is None, "who has the cookie alone can try passwords on it"


async def test_a_cookie_without_a_mark_is_a_strangers(guarded):
    browser = Caller("10.1.1.1")
    assert known(browser, "right") is None
    browser.cookies[COOKIE] = b"0123456789abcdef"
    assert known(browser, "right") is None


async def test_many_addresses_with_invented_names_have_to_wait_and_a_known_browser_does_not(guarded):
    before = Caller("10.1.1.1")
    assert await attempt(guarded, before, "right") == "ada"
    for number in range(FREE_OF_STRANGERS):
        assert await attempt(guarded, Caller(f"10.1.2.{number}"), "wrong", user=f"user{number}") is None
    assert await is_braked(guarded, Caller("10.1.3.1"))
    assert not await is_braked(guarded, before)


@pytest.mark.parametrize("name", ["invented", "grace", "", "a/b"])
async def test_with_a_name_that_may_not_log_in_the_right_password_is_a_wrong_one(guarded, name):
    caller = Caller("10.1.1.1")
    for _ in range(FREE_OF_SOURCE):
        assert await attempt(guarded, caller, "right", user=name) is None
    assert not caller.cookies
    assert await is_braked(guarded, caller)


async def test_any_user_where_that_is_configured():
    authenticator = AUTHENTICATORS["null"]()
    login = await authenticator.get_authenticated_user(
        browser_at("127.0.0.1:8000"), {"username": "whoever", "password": "whatever"}
    )
    assert login["name"] == "whoever"
    with pytest.raises(web.HTTPError, match="localhost only"):
        await authenticator.get_authenticated_user(browser_at("evil.example"), {"username": "who"})


@pytest.mark.parametrize("name", ["local", "null"])
async def test_a_form_without_a_user_is_told_so(name):
    for data in ({"password": ""}, None, "ada"):
        with pytest.raises(web.HTTPError, match="the form has no username"):
            await AUTHENTICATORS[name]().authenticate(browser_at("127.0.0.1:8000"), data)


async def test_what_only_json_can_spell_is_no_error(guarded):
    caller = Caller("10.1.1.1")
    for data in ({"username": 1}, {"username": "ada\ud800"}, {"username": "ada", "password": ["right"]}):
        with pytest.raises(web.HTTPError, match="must be texts"):
            await guarded.authenticate(caller, data)
    for _ in range(FREE_OF_SOURCE):
        assert await attempt(guarded, caller, "right\ud800") is None
    assert await is_braked(guarded, caller)


@pytest.mark.parametrize("name", ["local", "null"])
@pytest.mark.parametrize(("trait", "variable"), [("bind_host", "KF_BIND_HOST"), ("hub_host", "KF_HUB_HOST")])
@pytest.mark.parametrize("host", ["192.168.1.5", "0.0.0.0", ""])
def test_without_a_password_neither_door_nor_hub_can_be_reached_by_others(tmp_path, name, trait, variable, host):
    with pytest.raises(UnsafeLogin, match=f"only on loopback.*set KF_PASSWORD_FILE .* or set {variable}=127.0.0.1"):
        AUTHENTICATORS[name](**{trait: host})
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(0o600)
    AUTHENTICATORS[name](**{trait: host}, password_file=str(file))
