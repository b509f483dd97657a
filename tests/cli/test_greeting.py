"""What `up` says once everything runs, and what it asks the machine for that."""

import errno
import os
import pwd
from pathlib import Path

import pytest

from kf_spawner.cli import machine
from kf_spawner.cli.greeting import greeting

FACTS = {"hub": "http://127.0.0.1:8000/hub", "kubeconfig": "/h/kubeconfig", "kubectl": None}


def told(**facts) -> str:
    others = {"authenticator": "", "password_file": "", "people": [], "account": ""}
    return "\n".join(greeting(**{**FACTS, **others, **facts}))


@pytest.mark.parametrize(
    ("authenticator", "password_file", "sentence"),
    [
        ("", "", "Log in as admin with an empty password."),
        ("local", "", "Log in as admin with an empty password."),
        ("local", "/p", "Log in as admin with the password in /p."),
        ("null", "", "Log in as anybody with an empty password."),
        ("null", "/p", "Log in as anybody with the password in /p."),
        ("iap", "", "Log in through the identity-aware proxy in front of it."),
    ],
)
def test_how_to_log_in(authenticator, password_file, sentence):
    assert told(authenticator=authenticator, password_file=password_file).splitlines()[-1] == sentence


@pytest.mark.parametrize(
    ("authenticator", "password_file", "words"),
    [
        (
            "",
            "",
            "(eve, mallory): each of them can log in the same way and run programs as you. To keep them out of",
        ),
        ("null", "", "start with --password-file FILE. The ports of running jobs and endpoints have no password"),
    ],
)
def test_other_peoples_accounts_are_warned_of(authenticator, password_file, words):
    warned = told(authenticator=authenticator, password_file=password_file, people=["eve", "mallory"])
    assert words in warned
    assert "Other people" not in told(authenticator=authenticator, password_file=password_file)


@pytest.mark.parametrize("login", [{"password_file": "/p"}, {"authenticator": "iap"}])
def test_a_password_or_a_proxys_signature_keeps_other_people_out_of_the_hub(login):
    assert "Other people" not in told(**login, people=["eve"])


def test_what_users_share_is_told_where_the_pods_are_ours():
    sentence = "Users are not kept apart here: each user's programs run as carol and can read"
    assert sentence in told(account="carol").splitlines()[-1]
    assert "kept apart" not in told(account="")


def test_an_account_without_a_name_has_its_number(monkeypatch):
    monkeypatch.setattr(machine.os, "getuid", lambda: 4_000_000_001)
    assert machine.own_account() == "uid 4000000001"


def test_names_with_spaces_can_be_pasted_into_a_shell():
    lines = told(kubeconfig="/my home/kubeconfig", kubectl=Path("/my cache/kubectl")).splitlines()
    assert lines[1:3] == ["export KUBECONFIG='/my home/kubeconfig'", "alias kubectl='/my cache/kubectl'"]


def account(name: str, uid: int, shell: str = "/bin/bash") -> pwd.struct_passwd:
    return pwd.struct_passwd((name, "x", uid, uid, "", f"/home/{name}", shell))


def test_people_are_those_who_can_log_in_and_are_not_us(monkeypatch):
    accounts = [
        account("root", 0),
        account("daemon", 1),
        account("service", 1005, "/usr/sbin/nologin"),
        account("backup", 1006, "/bin/false"),
        account("me", 1000),
        account("mallory", 1002),
        account("eve", 1001, "/bin/zsh"),
        account("nobody", 65534),
    ]
    monkeypatch.setattr(machine.pwd, "getpwall", lambda: accounts)
    monkeypatch.setattr(machine.os, "getuid", lambda: 1000)
    assert machine.other_people() == ["eve", "mallory"]


def test_a_full_disk_is_named_with_its_remedy():
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert machine.write_problem(full, Path("/h")) == "/h: No space left on device; free some space on that disk"
