"""naming: always a label, never the same for two."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kf_spawner import naming

NAMES = st.one_of(
    st.text(max_size=80),
    st.text(alphabet="ab-.@A", max_size=12),
    st.text(alphabet="abcdef0123456789-", max_size=70),
    st.from_regex(r"[a-c]{1,2}--[0-9a-f]{16}", fullmatch=True),
)
SERVERS = st.one_of(st.just(""), NAMES)


@pytest.mark.parametrize(
    ("user", "namespace", "pod", "claim"),
    [
        ("admin", "kf-admin", "jupyter-admin", "claim-admin"),
        ("x-1", "kf-x-1", "jupyter-x-1", "claim-x-1"),
        ("7", "kf-7", "jupyter-7", "claim-7"),
    ],
)
def test_a_plain_user_keeps_the_name(user: str, namespace: str, pod: str, claim: str) -> None:
    assert naming.user_namespace(user) == namespace
    assert naming.server_pod(user) == pod
    assert naming.home_claim(user) == claim


def test_nobody_gets_the_namespace_of_the_platform() -> None:
    assert naming.user_namespace("spawner").startswith("kf-spawner--")
    assert naming.server_pod("spawner") == "jupyter-spawner"


def test_a_named_server_is_said_after_two_dashes() -> None:
    assert naming.server_pod("admin", "lab2") == "jupyter-admin--lab2"
    assert naming.home_claim("admin", "lab2") == "claim-admin--lab2"


def test_an_altered_name_stays_readable() -> None:
    altered = naming.slug("Ada.Lovelace@example.com")
    assert altered.startswith("ada-lovelace-example-com--")


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "a\n", "ä", "a" * 64])
def test_is_label_refuses(text: str) -> None:
    assert not naming.is_label(text)


def test_no_room_is_said() -> None:
    with pytest.raises(ValueError, match="at least 19"):
        naming.slug("Ada", max_length=18)
    assert len(naming.slug("Ada", max_length=19)) == 19


@given(NAMES, SERVERS)
@example("", "")
@example("🙂", "🙂")
@example("a" * 63, "b" * 63)
def test_every_name_is_a_label(user: str, server: str) -> None:
    for name in (
        naming.slug(user),
        naming.slug(user, max_length=30),
        naming.user_namespace(user),
        naming.server_pod(user, server),
        naming.home_claim(user, server),
    ):
        assert naming.is_label(name), name
    assert len(naming.slug(user, max_length=30)) <= 30


@given(NAMES, NAMES)
@example("Admin", "admin")
@example("a.b", "a-b")
@example("a!", naming.slug("a!"))
@example("a" * 64, "a" * 65)
def test_two_users_never_share_a_name(one: str, other: str) -> None:
    if one == other:
        return
    assert naming.slug(one) != naming.slug(other)
    assert naming.user_namespace(one) != naming.user_namespace(other)
    assert naming.server_pod(one) != naming.server_pod(other)


@given(NAMES, SERVERS, NAMES, SERVERS)
@example("a", "b", "a--b", "")
@example("a-b", "c", "a", "b-c")
@example("a!", "", "a", naming.slug("a!").partition("--")[2])
@example("A", "", "a", naming.slug("A").partition("--")[2])
def test_two_servers_never_share_a_name(user: str, server: str, user2: str, server2: str) -> None:
    if (user, server) == (user2, server2):
        return
    assert naming.server_pod(user, server) != naming.server_pod(user2, server2)
    assert naming.home_claim(user, server) != naming.home_claim(user2, server2)
