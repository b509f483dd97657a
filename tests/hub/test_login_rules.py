"""local and null: which password files are good, who needs no password."""

import os
from types import SimpleNamespace

import pytest
from tornado import web

from kf_spawner.hub.login import AUTHENTICATORS, LocalAuthenticator
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
    with pytest.raises(web.HTTPError, match="the form has no username"):
        await AUTHENTICATORS[name]().authenticate(browser_at("127.0.0.1:8000"), {"password": ""})


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
