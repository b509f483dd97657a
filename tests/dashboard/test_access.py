"""Who may do what, through the hub's proxy and with its logins; the API server has the last word."""

import contextlib
import json
import socket

import aiohttp
import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from kf_spawner.dashboard.app import Dashboard
from kf_spawner.dashboard.handlers.login import policy
from kf_spawner.k8s.names import HOME_MOUNT
from kf_spawner.kube import Client, Forbidden, load_config
from kf_spawner.kube.resources import NAMESPACES, PODS, SECRETS
from kf_spawner.tfjob.names import TFJOBS
from kf_spawner.workloads.access import OwnAccess
from tests.dashboard.client import following, job, running
from tests.dashboard.conftest import token_of
from tests.dashboard.running_dashboard import PREFIX
from tests.fixtures.hub import Browser

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_browser_is_sent_to_the_login_and_comes_back_to_the_page(dashboard):
    async with Browser(dashboard.url) as browser:
        async with browser.stream(f"{PREFIX}jobs/kf-alice/mnist") as answer:  # follows to the hub's login
            assert answer.url.path == "/hub/login"
        await browser.login("alice")
        async with browser.stream(f"{PREFIX}jobs/kf-alice/mnist") as answer:
            assert (answer.status, answer.url.path) == (200, f"{PREFIX}jobs/kf-alice/mnist")
            assert "alice" in await answer.text()
            assert answer.headers["Content-Security-Policy"] == policy("")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in policy("")
        assert "frame-ancestors 'none'" in policy("")
        _, page = await browser.get("/hub/token")
        assert f'href="{PREFIX}"' in page


async def test_cookie_needs_the_xsrf_token_for_reads_by_scripts_and_for_every_write(dashboard, as_user):
    async with Browser(dashboard.url) as browser:
        await browser.login("alice")
        await browser.get(PREFIX)
        token = browser.cookie("_xsrf", PREFIX)
        script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
        for headers, expected in (({}, 403), ({"X-XSRFToken": "guess"}, 403), ({"X-XSRFToken": token}, 200)):
            status, text = await browser.get(f"{PREFIX}api/jobs", headers={**script, **headers})
            assert (status, json.loads(text).get("reason")) == (expected, "XSRF" if expected == 403 else None)
        body = json.dumps(job("forged"))
        for headers, expected in (({}, 403), ({"X-XSRFToken": token[:-3] + "abc"}, 403)):
            status, text = await browser.send("POST", f"{PREFIX}api/jobs", body, headers={**script, **headers})
            assert (status, json.loads(text)["reason"]) == (expected, "XSRF")
        assert (await as_user("alice").call("GET", "api/jobs/kf-alice/forged"))[0] == 404
        status, _ = await browser.send("POST", f"{PREFIX}api/jobs?dry_run=1", body, headers={"X-XSRFToken": token})
        assert status == 200


async def test_without_a_login_the_interface_says_so(dashboard, as_user):
    anybody = as_user("alice")
    for headers in ({"Authorization": ""}, {"Authorization": "token unknown"}):
        for path in ("api/user", "api/jobs", "api/watch", "api/none", "tfjobs/api/tfjob"):
            status, answer = await anybody.call("GET", path, headers=headers)
            assert (status, answer["reason"]) == (401, "LoginRequired"), path
            assert "/hub/token" in answer["message"]


async def test_a_token_without_the_scope_is_refused(dashboard, as_user):
    weak = await token_of(dashboard, "alice", scopes=["read:users!user=alice"])
    status, answer = await as_user("alice").call("GET", "api/jobs", headers={"Authorization": f"token {weak}"})
    assert (status, answer["reason"]) == (403, "NotAllowed")
    assert "access:services!service=tfjobs" in answer["message"]
    narrow = await token_of(dashboard, "alice", scopes=["access:services!service=tfjobs"])
    status, answer = await as_user("alice").call("GET", "api/user", headers={"Authorization": f"token {narrow}"})
    assert (status, answer["name"], answer["admin"]) == (200, "alice", False)


async def test_another_users_job_looks_like_one_that_is_not_there(as_user):
    alice, bob = as_user("alice"), as_user("bob")
    async with running(alice, "secret") as path:
        for method, rest, body in (
            ("GET", "", None),
            ("GET", "/watch", None),
            ("GET", "/logs", None),
            ("GET", "/logs/worker-0/download", None),
            ("PATCH", "", {"suspend": True}),
            ("DELETE", "", None),
        ):
            answers = []
            for name in ("secret", "nothing"):
                status, text = await bob.text(method, f"api/jobs/kf-alice/{name}{rest}", body)
                answers.append((status, text.replace(name, "NAME")))
            assert answers[0] == answers[1], (method, rest)
            assert answers[0][0] == 404, (method, rest)
        for there, not_there in (
            ("api/jobs?namespace=kf-alice", "api/jobs?namespace=kf-nobody"),
            ("api/watch?namespace=kf-alice", "api/watch?namespace=kf-nobody"),
            ("api/form?namespace=kf-alice", "api/form?namespace=kf-nobody"),
            ("tfjobs/api/tfjob/kf-alice", "tfjobs/api/tfjob/kf-nobody"),
            ("tfjobs/api/tfjob/kf-alice/secret", "tfjobs/api/tfjob/kf-nobody/secret"),
            ("tfjobs/api/logs/kf-alice/secret-worker-0", "tfjobs/api/logs/kf-nobody/secret-worker-0"),
        ):
            one, other = await bob.text("GET", there), await bob.text("GET", not_there)
            assert (one[0], one[1].replace("kf-alice", "NS")) == (404, other[1].replace("kf-nobody", "NS")), there
        status, answer = await bob.call("POST", "api/jobs", job("planted", namespace="kf-alice"))
        assert (status, answer["field"]) == (403, "metadata.namespace")
        status, answer = await bob.call("GET", "api/jobs")
        assert [row["name"] for row in answer["items"] if row["namespace"] != "kf-bob"] == []
        status, detail = await alice.call("GET", path)
        assert (status, detail["suspended"], detail["deleting"]) == (200, False, False)


async def test_an_administrator_sees_and_changes_every_users_jobs(dashboard, as_user):
    alice, admin = as_user("alice"), as_user("admin")
    async with running(alice, "hers") as path:
        _, listed = await admin.call("GET", "api/jobs?search=HERS")
        assert [(row["namespace"], row["name"]) for row in listed["items"]] == [("kf-alice", "hers")]
        status, row = await admin.call("PATCH", path, {"suspend": True})
        assert (status, row["suspended"]) == (200, True)
        status, _ = await admin.call("POST", "api/jobs?dry_run=1", job("gift", namespace="kf-bob"))
        assert status == 200
    _, who = await admin.call("GET", "api/user")
    assert (who["admin"], who["namespace"], who["ready"]) == (True, "kf-admin", True)
    assert who["namespaces"][0] == {"name": "kf-admin", "user": "admin"}
    assert {"name": "kf-bob", "user": "bob"} in who["namespaces"]
    for namespace in ("default", "kube-system", "kf-nobody", "kf-newcomer"):
        for path in (
            f"api/jobs?namespace={namespace}",
            f"api/jobs/{namespace}/x",
            f"api/watch?namespace={namespace}",
        ):
            assert (await admin.call("GET", path))[0] == 404, path
    await dashboard.admin.create(TFJOBS, job("cluster-admins"), "default")
    _, listed = await admin.call("GET", "api/jobs")
    assert "cluster-admins" not in [row["name"] for row in listed["items"]]
    await dashboard.admin.delete(TFJOBS, "cluster-admins", "default")


async def test_who_never_started_a_server_sees_nothing_and_is_told_what_to_do(as_user):
    newcomer = as_user("newcomer")
    _, who = await newcomer.call("GET", "api/user")
    assert (who["ready"], who["namespaces"]) == (False, [{"name": "kf-newcomer", "user": "newcomer"}])
    assert await newcomer.call("GET", "api/jobs") == (200, {"items": []})
    _, offered = await newcomer.call("GET", "api/form")
    assert (offered["ready"], offered["claims"], offered["home_mount"]) == (False, [], HOME_MOUNT)
    async with contextlib.aclosing(newcomer.lines("api/watch")) as items:
        assert await anext(items) == {"type": "snapshot", "items": []}
    assert (await newcomer.call("GET", "api/jobs/kf-newcomer/first"))[0] == 404
    status, answer = await newcomer.call("POST", "api/jobs", job("first"))
    assert (status, answer["reason"]) == (409, "NoNamespace")
    assert "start a notebook server once" in answer["message"]


async def test_a_list_that_is_open_fills_when_the_namespace_is_there(dashboard, as_user):
    latecomer = as_user("latecomer")
    async with contextlib.aclosing(latecomer.lines("api/watch")) as items:
        assert await anext(items) == {"type": "snapshot", "items": []}
        await dashboard.set_up("latecomer")
        async with running(latecomer, "first", namespace="kf-latecomer", program="print(1)"):
            while "first" not in json.dumps(await following(items)):
                pass


async def test_the_processes_own_identity_may_do_next_to_nothing(dashboard, platform):
    """So that a fault in the dashboard's own checks opens nothing: the API server is the wall."""
    config = load_config(platform.plane.credentials.client("dashboard"))
    async with Client(config, user_agent="test") as own:
        for resource in (PODS, SECRETS):
            with pytest.raises(Forbidden):
                await own.list(resource, "kf-alice")
        with pytest.raises(Forbidden):
            await own.create(TFJOBS, job("x"), "kf-alice")
        for user in ("system:serviceaccount:kf-alice:default", "kubernetes-admin", "system:admin"):
            with pytest.raises(Forbidden, match="impersonate"):
                await own.acting_as(user).list(NAMESPACES)
        alice = own.acting_as("system:serviceaccount:kf-alice:notebook")
        await alice.list(TFJOBS, "kf-alice")
        for namespace in ("kf-bob", None):
            with pytest.raises(Forbidden):
                await alice.list(TFJOBS, namespace)
        with pytest.raises(Forbidden):
            await alice.list(SECRETS, "kf-alice")


async def test_a_hub_that_is_away_is_said_in_words(monkeypatch):
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))  # the port is ours, and nobody listens there
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "x")
    monkeypatch.setenv("JUPYTERHUB_CLIENT_ID", "service-tfjobs")
    monkeypatch.setenv("JUPYTERHUB_API_URL", f"http://127.0.0.1:{nobody.getsockname()[1]}/hub/api")
    server = HTTPServer(Dashboard().application(OwnAccess("/nowhere/kubeconfig", user_agent="test")))
    listener, port = bind_unused_port()
    server.add_socket(listener)
    try:
        headers = {"Authorization": "token y"}
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}/", headers=headers) as http:
            async with http.get("healthz") as answer:
                assert answer.status == 200
            async with http.get("api/jobs") as answer:
                assert (answer.status, (await answer.json())["reason"]) == (503, "HubUnreachable")
    finally:
        server.stop()
        nobody.close()
