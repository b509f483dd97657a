"""The hub's answer to the door, from a real hub with real tokens."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from kf_spawner.hub.authorize import may_use
from kf_spawner.naming import user_namespace
from tests.fixtures.bare_hub import AS_THE_DOOR, BareHub

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hub")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(folder: Path) -> AsyncIterator[BareHub]:
    async with BareHub(folder) as running:
        yield running


async def ask(hub: BareHub, path: str = "", **headers: str) -> tuple[int, dict[str, str], dict]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as http, http.get(f"{hub.authorize_url}{path}", headers=sent) as answer:
        body = await answer.read()
        return answer.status, dict(answer.headers), (await answer.json() if body else {})


async def status(hub: BareHub, path: str, token: str | None) -> int:
    return (await ask(hub, path, **({"Authorization": f"token {token}"} if token else {})))[0]


async def test_owner_other_and_nobody(hub: BareHub) -> None:
    alice, bob = await hub.token("alice"), await hub.token("bob")
    assert await status(hub, "/kf-alice/digits", alice) == 200
    assert await status(hub, "/kf-alice/digits", bob) == 403
    assert await status(hub, "/kf-alice/digits", None) == 401
    assert await status(hub, "/kf-alice/digits", "made-up") == 401


async def test_bearer_is_as_good_as_token(hub: BareHub) -> None:
    alice = await hub.token("alice")
    assert (await ask(hub, "/kf-alice/digits", Authorization=f"Bearer {alice}"))[0] == 200


async def test_refusals_are_json_with_a_remedy(hub: BareHub) -> None:
    code, headers, body = await ask(hub, "/kf-alice/digits")
    assert code == 401
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert headers["Content-Type"] == "application/json"
    assert headers["Kf-Door"] == body["reason"] == "Unauthorized"
    assert body["error"] == body["message"]
    assert body["message"].startswith("Send a token")
    _, _, body = await ask(hub, "/kf-alice/digits", Authorization="token made-up")
    assert "has expired or was revoked. Make a new one" in body["message"]


async def test_a_token_in_the_query_or_a_cookie_does_not_count(hub: BareHub) -> None:
    alice = await hub.token("alice")
    assert await status(hub, f"/kf-alice/digits?token={alice}", None) == 401
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), headers=AS_THE_DOOR) as http:
        async with http.get(f"{hub.proxy_url}/hub/login") as page:
            xsrf = http.cookie_jar.filter_cookies(page.url)["_xsrf"].value
        form = {"username": "alice", "password": "", "_xsrf": xsrf}
        async with http.post(f"{hub.proxy_url}/hub/login", data=form, allow_redirects=False) as done:
            assert done.status == 302
        async with http.get(f"{hub.proxy_url}/hub/token") as page:
            assert page.status == 200, "the cookie does log in"
        async with http.get(f"{hub.proxy_url}/hub/kf/authorize/kf-alice/digits") as answer:
            assert answer.status == 401


async def test_a_servers_own_token_acts_for_its_user_only(hub: BareHub) -> None:
    await hub.token("alice")
    for scope in ("access:servers!server=alice/", "access:servers!server=alice/lab2"):
        token = await hub.token("alice", [scope])
        assert await status(hub, "/kf-alice/digits", token) == 200
        assert await status(hub, "/kf-bob/digits", token) == 403


async def test_a_narrow_token_is_refused(hub: BareHub) -> None:
    narrow = await hub.token("alice", ["read:users:name!user=alice"])
    assert await status(hub, "/kf-alice/digits", narrow) == 403


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("custom:kf-endpoint:predict!user=alice", {"kf-alice/digits", "kf-alice/other"}),
        ("custom:kf-endpoint:predict!user", {"kf-alice/digits", "kf-alice/other"}),
        ("custom:kf-endpoint:predict!server=alice/digits", {"kf-alice/digits"}),
    ],
)
async def test_a_token_for_endpoints_predicts_there_and_opens_nothing_else(
    hub: BareHub, scope: str, allowed: set[str]
) -> None:
    token = await hub.token("alice", [scope])
    endpoints = {"kf-alice/digits", "kf-alice/other", "kf-alice/digits-2", "kf-bob/digits", "kf-root/digits"}
    for endpoint in endpoints:
        expected = 200 if endpoint in allowed or (len(allowed) > 1 and endpoint.startswith("kf-alice/")) else 403
        assert await status(hub, f"/{endpoint}", token) == expected, endpoint
    requests = [
        ("POST", "users/alice/server"),
        ("POST", "users/alice/tokens"),
        ("POST", "users/alice/servers/digits"),
        ("GET", "users"),
    ]
    headers = {"Authorization": f"token {token}"}
    async with aiohttp.ClientSession(headers=headers, base_url=f"{hub.hub_url}/api/") as http:
        for method, path in requests:
            async with http.request(method, path, json={}) as answer:
                assert answer.status == 403, path


async def test_a_user_gives_away_endpoints_of_their_own_only(hub: BareHub) -> None:
    alice = await hub.token("alice")
    headers = {"Authorization": f"token {alice}"}
    async with aiohttp.ClientSession(headers=headers, base_url=f"{hub.hub_url}/api/") as http:
        for scope, expected in (("!user=alice", 201), ("!server=alice/x", 201), ("!server=bob/x", 400), ("", 400)):
            body = {"scopes": [f"custom:kf-endpoint:predict{scope}"]}
            async with http.post("users/alice/tokens", json=body) as answer:
                assert answer.status == expected, (scope, await answer.text())


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ({"user": {"bob"}}, {"kf-bob/a", "kf-bob/b"}),
        ({"server": {"bob/a"}}, {"kf-bob/a"}),
        ({"server": {"bob/"}}, set()),
        ({"group": {"class"}}, set()),
    ],
)
async def test_an_endpoint_may_be_anothers(scopes: dict, allowed: set[str]) -> None:
    """A role gives it to a user, a group or a service."""
    endpoints = {f"kf-{user}/{name}" for user in ("alice", "bob") for name in "ab"}
    for caller in ("alice", None):
        held = {"custom:kf-endpoint:predict": scopes}
        found = {each for each in endpoints if may_use(*each.split("/"), caller=caller, scopes=held)}
        assert found == allowed


async def test_an_administrator_may_use_users_namespaces_and_no_others(hub: BareHub) -> None:
    root = await hub.token("root")
    assert await status(hub, "/kf-alice/digits", root) == 200
    assert await status(hub, "/kube-system/digits", root) == 403


async def test_services_by_their_scopes(hub: BareHub) -> None:
    assert await status(hub, "/kf-bob/digits", "for-bob-secret") == 200
    assert await status(hub, "/kf-alice/digits", "for-bob-secret") == 403


async def test_a_200_says_how_long_the_token_is_valid(hub: BareHub) -> None:
    """The door uses the answer again, but never for longer."""
    lasting, short = await hub.token("alice"), await hub.token("alice", expires_in=1000)
    assert "max-age" not in (await ask(hub, "/kf-alice/digits", Authorization=f"token {lasting}"))[1].get(
        "Cache-Control", ""
    )
    _, headers, _ = await ask(hub, "/kf-alice/digits", Authorization=f"token {short}")
    private, seconds = headers["Cache-Control"].split(", max-age=")
    assert private == "private"
    assert 0 < int(seconds) < 1000


@pytest.mark.parametrize("path", ["/kf-alice/DIGITS", "/kf-alice/a%2fb", "/kf-alice/..%2f..", "/kf_alice/digits"])
async def test_malformed_questions(hub: BareHub, path: str) -> None:
    assert await status(hub, path, await hub.token("alice")) in (400, 404)


async def test_other_methods_are_refused_in_json(hub: BareHub) -> None:
    alice = await hub.token("alice")
    headers = {"Authorization": f"token {alice}"}
    url = f"{hub.authorize_url}/kf-alice/digits"
    async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json={}) as answer:
        assert answer.status == 405
        assert (await answer.json())["reason"]


async def test_refusals_are_logged_predictions_and_tokens_are_not(hub: BareHub) -> None:
    alice = await hub.token("alice")
    assert await status(hub, "/kf-alice/let-through", alice) == 200
    assert await status(hub, "/kf-alice/refused", None) == 401
    async with asyncio.timeout(60):  # the hub logs a request after it has answered
        while "/kf-alice/refused" not in (log := hub.log.read_text()):
            await asyncio.sleep(0.05)
    assert "/kf-alice/let-through" not in log
    assert alice not in log


async def test_users_whose_names_look_alike_do_not_share() -> None:
    names = ["alice", "Alice", "alice.", "a-lice", "kf-alice", "älice"]
    for caller in names:
        scopes = {"access:servers": {"user": {caller}}}
        allowed = [other for other in names if may_use(user_namespace(other), "x", caller=caller, scopes=scopes)]
        assert allowed == [caller]


async def test_a_share_of_anothers_server_is_not_a_share_of_their_endpoints() -> None:
    scopes = {"access:servers": {"server": {"bob/"}}}
    assert not may_use("kf-bob", "x", caller="alice", scopes=scopes)
    assert not may_use("kf-alice", "x", caller="alice", scopes=scopes)
