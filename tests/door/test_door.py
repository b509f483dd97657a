"""The one door as it runs: a real Traefik, a real hub that it asks, the hub's real proxy, and real backends."""

import io
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio

from kf_spawner.door.dynamic import Targets
from kf_spawner.serving import IAP_HEADER
from tests.fixtures.bare_hub import DOOR_TOKEN, BareHub, until
from tests.fixtures.door import running_door

from .running_door import Door, Endpoints, authorizer, endpoint_service, ready_pod, serve_as_a_pod

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(BareHub(folder))
        endpoints = Endpoints()
        alice, bob = await serve_as_a_pod(stack), await serve_as_a_pod(stack)
        endpoints.services = [
            endpoint_service("kf-alice", "digits"),
            endpoint_service("kf-bob", "digits"),
            endpoint_service("kf-alice", "loading"),
        ]
        endpoints.pods = [
            ready_pod("kf-alice", "digits", alice),
            ready_pod("kf-bob", "digits", bob),
            ready_pod("kf-alice", "loading", "127.77.4.1", ready=False),
        ]
        asked = await stack.enter_async_context(authorizer(hub.authorize_url))
        targets = Targets(hub.proxy_url, asked.url, DOOR_TOKEN)
        door = await stack.enter_async_context(running_door(folder, lambda: endpoints.configuration(targets)))
        url = door.url
        async with aiohttp.ClientSession() as http, http.get(f"{url}/hub/health") as answer:
            assert answer.status == 200, "a door that answers its ping knows the way to the hub"
        token = await hub.token("alice")
        await until(f"{url}/serving/kf-alice/digits/v1", headers={"Authorization": f"token {token}"})
        yield Door(hub, asked, endpoints, url, door.port, door.process)
        assert door.process.log.read_text() == "", "Traefik has something to complain about"


PREDICT = "/serving/kf-alice/digits/v1/models/digits:predict"


async def test_owner_other_and_nobody(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    status, text = await opened.request("POST", PREDICT, alice, json={"instances": [1]})
    assert status == 200
    seen = json.loads(text)
    assert (seen["method"], seen["path"]) == ("POST", "/v1/models/digits:predict")
    assert json.loads(seen["body"]) == {"instances": [1]}
    assert (await opened.request("POST", PREDICT, bob, json={}))[0] == 403
    status, text = await opened.request("POST", PREDICT, json={})
    assert status == 401
    refused = json.loads(text)
    assert refused["reason"] == "Unauthorized"
    assert refused["error"] == refused["message"], "TensorFlow Serving's clients read this one"


async def test_the_hub_is_asked_once_for_a_token_and_an_endpoint(opened: Door) -> None:
    """Whatever the method, the path below it, the host, the origin and cookies: the hub is told none of them."""
    dora = await opened.hub.token("dora")
    opened.endpoints.services += [endpoint_service("kf-dora", name) for name in ("a", "b")]
    opened.endpoints.pods += [
        ready_pod("kf-dora", name, opened.endpoints.pods[0]["status"]["podIP"]) for name in "ab"
    ]
    await until(f"{opened.url}/serving/kf-dora/b/v1", headers={"Authorization": f"token {dora}"})
    asked = opened.asked.questions
    asked.clear()
    for number, method in enumerate(("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")):
        headers = {"Host": f"{number}.jhub", "Origin": f"http://{number}", "Cookie": f"_xsrf={number}"}
        status, _ = await opened.request(method, f"/serving/kf-dora/a/v{number}?q={number}", dora, headers=headers)
        assert status == 200, method
    assert asked == ["kf-dora/a"]
    alice, known = await opened.hub.token("alice"), len(asked)
    for path in ("/serving/kf-dora/a/v1", "/serving/kf-dora/b/v1"):
        assert (await opened.request("POST", path, dora))[0] == 200
        assert (await opened.request("POST", path, alice))[0] == 403, "allowed is allowed to one token"
        assert (await opened.request("POST", path, dora[:-1]))[0] == 401
        assert (await opened.request("POST", path))[0] == 401
    assert (await opened.request("POST", PREDICT, dora))[0] == 403, "and to one endpoint"
    assert asked[known:] == ["kf-dora/a", "kf-dora/a", "kf-dora/b", "kf-dora/b", "kf-alice/digits"]


async def test_a_revoked_token_is_refused_when_its_answer_is_old(opened: Door) -> None:
    token = await opened.hub.token("alice")
    assert (await opened.request("POST", PREDICT, token))[0] == 200
    await opened.hub.revoke("alice", token)
    opened.asked.time += 30
    assert (await opened.request("POST", PREDICT, token))[0] == 401


async def test_a_token_is_refused_when_its_time_is_over(opened: Door) -> None:
    """At once, and not when its answer is old."""
    token = await opened.hub.token("alice", expires_in=10)
    assert (await opened.request("POST", PREDICT, token))[0] == 200
    known = len(opened.asked.questions)
    opened.asked.time += 10
    await opened.request("POST", PREDICT, token)
    assert len(opened.asked.questions) == known + 1


async def test_where_users_have_domains_endpoints_have_an_origin_of_their_own(opened: Door) -> None:
    """What a model answers is a user's: it has neither the hub's origin nor that of a user's server."""
    alice = await opened.hub.token("alice")
    served = "127.0.0.1", "door.jhub", "serving--service.hub.example.com", "SERVING--service.hub.example.com:8000"
    for host in served:
        assert (await opened.request("GET", PREDICT, alice, headers={"Host": host}))[0] == 200, host
    for host in (
        "hub.example.com",
        "HUB.example.com:8000",
        "hub.example.com.",
        "bob.hub.example.com",
        "BOB.hub.example.com.",
    ):
        for token in (alice, None):
            for path in (PREDICT, "/serving", "/serving/kf-alice/loading/v1", "/serving/none/such"):
                status, text = await opened.request("GET", path, token, headers={"Host": host})
                assert (status, text) == (302, ""), (host, path, "is the hub's, which redirects")


async def test_the_model_server_never_sees_the_callers_token_or_cookies(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    headers = {"Cookie": "jupyterhub-session-id=secret", IAP_HEADER: "signed", "X-Keep": "this"}
    _, text = await opened.request("GET", PREDICT, alice, headers=headers)
    seen = {name.lower(): value for name, value in json.loads(text)["headers"].items()}
    assert seen["x-keep"] == "this"
    assert "authorization" not in seen
    assert "cookie" not in seen
    assert IAP_HEADER.lower() not in seen, "by it the endpoint's owner could log in as the caller"
    assert alice not in text


async def test_an_endpoint_with_no_ready_pod_says_so_to_its_owner_only(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    path = "/serving/kf-alice/loading/v1/models/loading"
    status, text = await opened.request("GET", path, alice)
    assert (status, json.loads(text)["reason"]) == (503, "EndpointNotReady")
    assert (await opened.request("GET", path, bob))[0] == 403
    assert (await opened.request("GET", path))[0] == 401


async def test_only_the_doors_own_answers_say_that_they_are(opened: Door) -> None:
    """The model server of these tests sends the door's header with every answer, with an error's, too."""
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    unready, missing = "/serving/kf-alice/loading/v1", "/serving/kf-alice/nothing/v1"

    async def ask(path: str, token: str | None) -> tuple[int, str | None, str | None]:
        headers = {"Authorization": f"token {token}"} if token else {}
        async with aiohttp.ClientSession() as http, http.get(opened.url + path, headers=headers) as answer:
            return answer.status, answer.headers.get("Kf-Door"), answer.headers.get("X-Kept")

    assert await ask(PREDICT, None) == (401, "Unauthorized", None)
    assert await ask(PREDICT, bob) == (403, "Forbidden", None)
    assert await ask(missing, alice) == (404, "NotFound", None)
    assert await ask(unready, alice) == (503, "EndpointNotReady", None)
    for status in (200, 401, 403, 404, 503, 504):
        assert await ask(f"{PREDICT}?answer={status}", alice) == (status, None, "yes")


async def test_an_unknown_endpoint_looks_like_a_foreign_one_to_others(opened: Door) -> None:
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    path = "/serving/kf-alice/nothing/v1/models/nothing"
    for _ in range(2):
        status, text = await opened.request("GET", path, alice)
        assert (status, json.loads(text)["reason"]) == (404, "NotFound")
    assert opened.asked.questions[-2:] == ["kf-alice/nothing"] * 2, "names that anybody can make up are not kept"
    assert await opened.request("GET", path, bob) == await opened.request("GET", PREDICT, bob)
    assert (await opened.request("GET", path))[0] == 401
    for path in ("/serving", "/serving/", "/serving/kf-alice"):
        assert (await opened.request("GET", path))[0] == 401


async def test_what_a_caller_says_of_forwarding_changes_nothing(opened: Door) -> None:
    bob = await opened.hub.token("bob")
    own = "/serving/kf-bob/digits/v1"
    for headers in (
        {"X-Forwarded-Uri": own},
        {"X-Forwarded-Uri": own, "X-Forwarded-Prefix": "/serving/kf-bob/digits"},
        {"X-Original-URI": own, "X-Rewrite-URL": own, "X-Forwarded-Method": "GET"},
        {"Connection": "X-Forwarded-Uri, Authorization"},
    ):
        status, _ = await opened.request("GET", PREDICT, bob, headers=headers)
        assert status in (401, 403), headers


TRICKS = [
    "/serving/kf-bob/../kf-alice/digits/v1",
    "/serving/kf-bob/digits/../../kf-alice/digits/v1",
    "/serving/kf-bob/%2e%2e/kf-alice/digits/v1",
    "/serving/kf-bob/digits/%2e%2e/%2e%2e/kf-alice/digits/v1",
    "/serving/kf-bob/digits/%2e%2e%2f%2e%2e%2fkf-alice/digits/v1",
    "/serving/kf-bob/digits%2f..%2f..%2fkf-alice/digits/v1",
    "/serving/kf-bob/..;/kf-alice/digits/v1",
    "/serving/kf-bob/digits/..%5c..%5ckf-alice/digits/v1",
    "/serving//kf-alice/digits/v1",
    "//serving/kf-alice/digits/v1",
    "/serving/./kf-alice/digits/v1",
    "/serving/kf-bob/%252e%252e/kf-alice/digits/v1",
    "/serving%2fkf-alice%2fdigits/v1",
    "/%73erving/kf-alice/digits/v1",
    "/serving/kf-%61lice/digits/v1",
    "/Serving/kf-alice/digits/v1",
    "/user/bob/../../serving/kf-alice/digits/v1",
    "http://127.0.0.1/serving/kf-alice/digits/v1",
    "/serving/kf-bob/digits/v1?/../../kf-alice/digits",
    "/serving/kf-bob/digits/v1#/../../../kf-alice/digits",
]


@pytest.mark.parametrize("target", TRICKS)
async def test_no_spelling_of_a_path_crosses_from_one_tenant_to_another(opened: Door, target: str) -> None:
    alice_at = opened.endpoints.pods[0]["status"]["podIP"]
    bob_at = opened.endpoints.pods[1]["status"]["podIP"]
    status, answer = await opened.raw(target, await opened.hub.token("bob"))
    assert f'"at": "{alice_at}"' not in answer, "bob's token reached alice's model"
    if status == 200:
        assert f'"at": "{bob_at}"' in answer or "/hub/" in answer
    nobody = await opened.raw(target, "made-up")
    assert '"at": "127' not in nobody[1], "no token reached a model"


async def test_a_token_in_the_query_is_not_a_token(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    assert (await opened.request("GET", f"{PREDICT}?token={alice}"))[0] == 401


async def test_websockets_pass_with_the_same_question(opened: Door) -> None:
    url = f"ws://127.0.0.1:{opened.port}/serving/kf-alice/digits/stream"
    alice, bob = await opened.hub.token("alice"), await opened.hub.token("bob")
    headers = {"Authorization": f"token {alice}"}
    async with aiohttp.ClientSession(headers=headers) as http, http.ws_connect(url) as stream:
        await stream.send_str("hello")
        assert (await stream.receive(timeout=60)).data == "hello"
    async with aiohttp.ClientSession(headers={"Authorization": f"token {bob}"}) as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(url)
        assert refused.value.status == 403


async def test_all_else_is_the_hubs(opened: Door) -> None:
    status, text = await opened.request("GET", "/hub/login")
    assert status == 200
    assert "JupyterHub" in text
    assert (await opened.request("GET", "/"))[0] == 302


async def test_large_bodies_pass_both_ways(opened: Door) -> None:
    alice = await opened.hub.token("alice")
    body = "x" * 5_000_000
    status, text = await opened.request("POST", PREDICT, alice, data=io.BytesIO(body.encode()))
    assert status == 200
    assert json.loads(text)["body"] == body


async def test_endpoints_come_and_go_while_the_door_serves(opened: Door) -> None:
    carol = await opened.hub.token("carol")
    headers = {"Authorization": f"token {carol}"}
    path = f"{opened.url}/serving/kf-carol/late/v1"
    await until(path, 404, headers=headers)
    opened.endpoints.services.append(endpoint_service("kf-carol", "late"))
    await until(path, 503, headers=headers)
    opened.endpoints.pods.append(ready_pod("kf-carol", "late", opened.endpoints.pods[0]["status"]["podIP"]))
    await until(path, 200, headers=headers)
    opened.endpoints.services.pop()
    opened.endpoints.pods.pop()
    await until(path, 404, headers=headers)


DEAD = "127.77.4.2"
"""An address at which nobody takes a connection."""


async def test_a_pod_that_takes_no_connection_fails_no_request_while_another_does(opened: Door) -> None:
    erin = await opened.hub.token("erin")
    received: list[str] = []
    async with AsyncExitStack() as stack:
        alive = await serve_as_a_pod(stack, received)
        opened.endpoints.services.append(endpoint_service("kf-erin", "two"))
        opened.endpoints.pods += [ready_pod("kf-erin", "two", address) for address in (DEAD, alive)]
        await until(f"{opened.url}/serving/kf-erin/two/v1", headers={"Authorization": f"token {erin}"})
        received.clear()
        bodies = [f"{number} " + "x" * 100_000 for number in range(10)]
        for body in bodies:
            assert (await opened.request("POST", "/serving/kf-erin/two/v1", erin, data=body))[0] == 200
        assert received == bodies, "each once, and whole"


async def test_a_request_that_reached_a_pod_is_never_sent_again(opened: Door) -> None:
    frank = await opened.hub.token("frank")
    received: list[str] = []
    async with AsyncExitStack() as stack:
        pods = [await serve_as_a_pod(stack, received) for _ in range(2)]
        opened.endpoints.services.append(endpoint_service("kf-frank", "two"))
        opened.endpoints.pods += [ready_pod("kf-frank", "two", address) for address in pods]
        path = "/serving/kf-frank/two/v1"
        await until(opened.url + path, headers={"Authorization": f"token {frank}"})
        for method in ("POST", "PUT"):
            received.clear()
            status, text = await opened.request(method, f"{path}?drop", frank, data="x")
            assert (status, received) == (502, ["x"])
            assert json.loads(text)["reason"] == "EndpointUnanswered"


async def test_an_endpoint_whose_pods_take_no_connection_says_so_in_json(opened: Door) -> None:
    gina = await opened.hub.token("gina")
    opened.endpoints.services.append(endpoint_service("kf-gina", "dead"))
    opened.endpoints.pods.append(ready_pod("kf-gina", "dead", DEAD))
    path = f"{opened.url}/serving/kf-gina/dead/v1"
    headers = {"Authorization": f"token {gina}"}
    await until(path, 502, headers=headers)
    async with aiohttp.ClientSession(headers=headers) as http, http.get(path) as answer:
        assert (answer.headers["Kf-Door"], answer.headers["Retry-After"]) == ("EndpointUnanswered", "2")
        assert (await answer.json())["error"].startswith("No pod of the endpoint")


async def test_no_endpoints_at_all_is_a_configuration_that_traefik_takes(opened: Door) -> None:
    kept = opened.endpoints.services
    alice = {"Authorization": f"token {await opened.hub.token('alice')}"}
    opened.endpoints.services = []
    await until(opened.url + PREDICT, 404, headers=alice)
    opened.endpoints.services = kept
    await until(opened.url + PREDICT, 200, headers=alice)


async def test_nothing_of_traefiks_own_is_open_at_the_door(opened: Door) -> None:
    for path in ("/api/rawdata", "/dashboard/", "/ping", "/metrics", "/debug/pprof/"):
        status, text = await opened.request("GET", path)
        assert status in (302, 404), path
        assert "routers" not in text
