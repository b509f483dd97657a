"""The dashboard's REST interface through the hub's proxy, with the hub's own logins, on pods that really run."""

import asyncio
import contextlib
import json

import aiohttp
import pytest

from kf_spawner.dashboard.app import Dashboard
from kf_spawner.dashboard.board import Board
from kf_spawner.dashboard.handlers.login import POLICY
from kf_spawner.dashboard.people import Caller
from kf_spawner.extension.cluster import Cluster
from kf_spawner.extension.jobs import TFJOBS
from kf_spawner.kube import Client, Forbidden, NotFound, load_config
from kf_spawner.kube.resources import NAMESPACES, PODS, SECRETS
from tests.extension.platform import PLAIN_IMAGE
from tests.fixtures.hub import Browser

from .conftest import job, token_of

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNTING = "import time\nfor n in range(3000):\n    print('step', n)\n    time.sleep(0.1)"
PREFIX = "/services/tfjobs/"


@contextlib.asynccontextmanager
async def running(caller, name: str, *, program: str = COUNTING, namespace: str = "kf-alice", **replicas: int):
    """A job that is there for a while; its address in the interface."""
    status, answer = await caller.call(
        "POST", "api/jobs", job(name, program=program, namespace=namespace, **replicas)
    )
    assert status == 201, answer
    path = f"api/jobs/{namespace}/{name}"
    try:
        yield path
    finally:
        await caller.call("DELETE", path)


async def until_state(caller, path: str, state: str) -> dict:
    """The job's detail once it is in this state, from the stream of its changes."""
    async with asyncio.timeout(60), contextlib.aclosing(caller.lines(f"{path}/watch")) as items:
        async for item in items:
            if item["type"] == "job" and item["job"]["state"] == state:
                return item["job"]
    raise AssertionError(f"{path} was never {state}")


# Who may


async def test_a_browser_is_sent_to_the_login_and_comes_back_to_the_page(stage):
    async with Browser(stage.url) as browser:
        async with browser.stream(f"{PREFIX}jobs/kf-alice/mnist") as answer:  # follows to the hub's login
            assert answer.url.path == "/hub/login"
        await browser.login("alice")
        async with browser.stream(f"{PREFIX}jobs/kf-alice/mnist") as answer:
            assert (answer.status, answer.url.path) == (200, f"{PREFIX}jobs/kf-alice/mnist")
            assert "alice" in await answer.text()
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "unsafe" not in POLICY
        assert "frame-ancestors 'none'" in POLICY
        _, page = await browser.get("/hub/token")
        assert f'href="{PREFIX}"' in page


async def test_cookie_needs_the_xsrf_token_for_reads_by_scripts_and_for_every_write(stage, as_user):
    async with Browser(stage.url) as browser:
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


async def test_without_a_login_the_interface_says_so(stage, as_user):
    anybody = as_user("alice")
    for headers in ({"Authorization": ""}, {"Authorization": "token unknown"}):
        for path in ("api/user", "api/jobs", "api/watch", "api/none", "tfjobs/api/tfjob"):
            status, answer = await anybody.call("GET", path, headers=headers)
            assert (status, answer["reason"]) == (401, "LoginRequired"), path
            assert "/hub/token" in answer["message"]


async def test_a_token_without_the_scope_is_refused(stage, as_user):
    weak = await token_of(stage, "alice", scopes=["read:users!user=alice"])
    status, answer = await as_user("alice").call("GET", "api/jobs", headers={"Authorization": f"token {weak}"})
    assert (status, answer["reason"]) == (403, "NotAllowed")
    assert "access:services!service=tfjobs" in answer["message"]
    narrow = await token_of(stage, "alice", scopes=["access:services!service=tfjobs"])
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


async def test_an_administrator_sees_and_changes_every_users_jobs(stage, as_user):
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
    await stage.admin.create(TFJOBS, job("cluster-admins"), "default")
    _, listed = await admin.call("GET", "api/jobs")
    assert "cluster-admins" not in [row["name"] for row in listed["items"]]
    await stage.admin.delete(TFJOBS, "cluster-admins", "default")


async def test_who_never_started_a_server_sees_nothing_and_is_told_what_to_do(as_user):
    newcomer = as_user("newcomer")
    _, who = await newcomer.call("GET", "api/user")
    assert (who["ready"], who["namespaces"]) == (False, [{"name": "kf-newcomer", "user": "newcomer"}])
    assert await newcomer.call("GET", "api/jobs") == (200, {"items": []})
    _, offered = await newcomer.call("GET", "api/form")
    assert (offered["ready"], offered["claims"]) == (False, [])
    async with contextlib.aclosing(newcomer.lines("api/watch")) as items:
        assert await anext(items) == {"type": "snapshot", "items": []}
    assert (await newcomer.call("GET", "api/jobs/kf-newcomer/first"))[0] == 404
    status, answer = await newcomer.call("POST", "api/jobs", job("first"))
    assert (status, answer["reason"]) == (409, "NoNamespace")
    assert "start a notebook server once" in answer["message"]


async def test_a_list_that_is_open_fills_when_the_namespace_is_there(stage, as_user):
    latecomer = as_user("latecomer")
    async with contextlib.aclosing(latecomer.lines("api/watch")) as items:
        assert await anext(items) == {"type": "snapshot", "items": []}
        await stage.set_up("latecomer")
        while (await latecomer.call("GET", "api/form"))[1].get("ready") is not True:  # the API reads the role first
            await asyncio.sleep(0.05)
        async with running(latecomer, "first", namespace="kf-latecomer", program="print(1)"), asyncio.timeout(60):
            while "first" not in json.dumps(await anext(items)):
                pass


async def test_the_processes_own_identity_may_do_next_to_nothing(stage, platform):
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


# Making, changing, deleting


async def test_a_job_from_the_form_runs(as_user):
    alice = as_user("alice")
    form = {
        "name": "from-form",
        "success_policy": "AllWorkers",
        "replicas": [
            {
                "type": "Worker",
                "count": "2",
                "image": PLAIN_IMAGE,
                "command": "python -u -c 'import os; print(os.environ[\"A\"])'",
                "env": [{"name": "A", "value": "b c"}],
                "memory": "64Mi",
            }
        ],
    }
    status, plan = await alice.call("POST", "api/jobs?dry_run=1", {"form": form})
    assert (status, plan["manifest"]["metadata"]["namespace"]) == (200, "kf-alice")
    assert (await alice.call("GET", "api/jobs/kf-alice/from-form"))[0] == 404
    status, row = await alice.call("POST", "api/jobs", {"form": form})
    assert (status, row["wanted"]) == (201, {"worker": 2})
    detail = await until_state(alice, "api/jobs/kf-alice/from-form", "Succeeded")
    assert {(view["replica"], view["exit_code"]) for view in detail["replicas"]} == {("worker-0", 0), ("worker-1", 0)}
    assert detail["replicas"][0]["tf_config"]["task"] == {"type": "worker", "index": 0}
    assert detail["replicas"][0]["node"]
    assert [one["type"] for one in detail["conditions"]] == ["Created", "Running", "Succeeded"]
    assert "SuccessfulCreatePod" in [event["reason"] for event in detail["events"]]
    assert await alice.text("GET", "tfjobs/api/logs/kf-alice/from-form-worker-0") == (200, '"b c\\n"')
    status, again = await alice.call("POST", "api/jobs", {"form": form})
    assert (status, again["reason"], again["field"]) == (409, "NameInUse", "name")
    status, again = await alice.call("PATCH", "api/jobs/kf-alice/from-form", {"suspend": True})
    assert (status, again["reason"]) == (409, "Ended")
    # The manifest that is shown makes the same job again.
    status, answer = await alice.call("POST", "api/jobs?dry_run=1", {"yaml": detail["yaml"]})
    assert (status, answer["manifest"]["spec"]) == (200, plan["manifest"]["spec"])
    await alice.call("DELETE", "api/jobs/kf-alice/from-form")


BAD_FORM = {
    "name": "Bad_Name",
    "replicas": [{"type": "Worker", "image": "x", "count": -1, "restart_policy": "Maybe"}],
}
NO_CLAIM = {"name": "ok", "replicas": [{"type": "PS", "image": "x"}], "volumes": [{"claim": "none", "path": "/x"}]}
NO_AMOUNT = {"name": "ok", "replicas": [{"type": "Worker", "image": "x", "memory": "lots"}]}
BAD_VARIABLE = {"name": "ok", "replicas": [{"type": "Worker", "image": "x", "env": [{"name": "A=B"}]}]}
TWO = "kind: TFJob\n---\nkind: TFJob\n"
NOT_OURS = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ("{", 400, ["body"]),
        ("[]", 400, ["body"]),
        ({}, 400, ["body"]),
        ({"form": {}, "yaml": ""}, 400, ["body"]),
        ({"program": {}}, 400, ["program"]),
        ({"form": []}, 400, ["form"]),
        ({"yaml": 3}, 400, ["yaml"]),
        ({"yaml": "a: ["}, 400, ["yaml"]),
        ({"yaml": TWO}, 400, ["yaml"]),
        (NOT_OURS, 400, ["kind"]),
        ({"kind": "TFJob", "apiVersion": "kubeflow.org/v1", "metadata": 3}, 400, ["metadata"]),
        ({"kind": "TFJob", "apiVersion": "kubeflow.org/v1", "metadata": {"name": "x"}}, 400, ["spec"]),
        ({"form": {}}, 400, ["name", "replicas"]),
        ({"form": BAD_FORM}, 400, ["name", "replicas[0].count", "replicas[0].restart_policy"]),
        ({"form": NO_CLAIM}, 422, ["volumes[0].claim"]),
        ({"form": NO_AMOUNT}, 422, ["replicas[0].memory"]),
        ({"form": BAD_VARIABLE}, 422, ["replicas[0].env[0].name"]),
        ({"form": {**NO_CLAIM, "namespace": "kf-bob"}}, 403, ["namespace"]),
        ({**job("x"), "spec": {**job("x")["spec"], "notAField": 1}}, 400, ["spec.notAField"]),
        ("x" * 1_000_001, 413, ["body"]),
    ],
)
async def test_bad_bodies_name_what_is_wrong(as_user, body, status, fields):
    got, answer = await as_user("alice").call("POST", "api/jobs", body)
    assert got == status, answer
    named = [error["field"] for error in answer.get("errors") or [answer]]
    assert (answer["field"], named) == (fields[0], fields)
    assert len(answer["message"]) > 10


async def test_yaml_and_old_versions_are_taken(as_user):
    alice = as_user("alice")
    text = json.dumps({**job("old"), "apiVersion": "kubeflow.org/v1alpha2"})
    status, row = await alice.call("POST", "api/jobs", text, headers={"Content-Type": "application/yaml"})
    assert (status, row["name"]) == (201, "old")
    status, detail = await alice.call("GET", "api/jobs/kf-alice/old")
    assert detail["yaml"].startswith("apiVersion: kubeflow.org/v1\n")
    await alice.call("DELETE", "api/jobs/kf-alice/old")


async def test_suspend_resume_and_scale(stage, as_user):
    alice = as_user("alice")
    async with running(alice, "elastic", Worker=1) as path:
        await until_state(alice, path, "Running")
        status, row = await alice.call("PATCH", path, {"replicas": {"worker": 2}})
        assert (status, row["wanted"]) == (200, {"worker": 2})
        status, row = await alice.call("PATCH", path, {"suspend": True})
        assert (status, row["suspended"]) == (200, True)
        detail = await until_state(alice, path, "Suspended")
        assert detail["policy"]["suspend"] is True
        status, row = await alice.call("PATCH", path, {"suspend": False})
        assert (status, row["suspended"]) == (200, False)
        detail = await until_state(alice, path, "Running")
        assert [view["replica"] for view in detail["replicas"]] == ["worker-0", "worker-1"]
        for body, field in (
            ({"suspend": 1}, "suspend"),
            ({"replicas": {"Chief": 1}}, "replicas.Chief"),
            ("[]", "body"),
        ):
            status, answer = await alice.call("PATCH", path, body)
            assert (status in (400, 422), answer["field"]) == (True, field)


async def test_delete(stage, as_user):
    alice = as_user("alice")
    async with running(alice, "doomed") as path:
        async with contextlib.aclosing(alice.lines(f"{path}/watch")) as items:
            assert (await anext(items))["job"]["name"] == "doomed"
            status, answer = await alice.call("DELETE", path)
            assert (status, answer) == (202, {"name": "doomed", "namespace": "kf-alice", "deleting": True})
            async with asyncio.timeout(60):
                seen = [item async for item in items]
        assert seen[-1] == {"type": "gone"}
        assert (await alice.call("DELETE", path))[0] == 404
        with pytest.raises(NotFound):
            await stage.admin.get(TFJOBS, "doomed", "kf-alice")


# Streams


async def test_the_list_as_it_changes(as_user):
    alice, admin, bob = as_user("alice"), as_user("admin"), as_user("bob")
    async with (
        contextlib.aclosing(alice.lines("api/watch")) as hers,
        contextlib.aclosing(admin.lines("api/watch")) as all_of_them,
        contextlib.aclosing(bob.lines("api/watch?namespace=kf-bob")) as his,
    ):
        for items in (hers, all_of_them, his):
            assert (await anext(items))["type"] == "snapshot"
        async with running(alice, "seen", program="print(1)"):
            for items in (hers, all_of_them):
                states = []
                async with asyncio.timeout(60):
                    while "Succeeded" not in states:
                        item = await anext(items)
                        if item.get("job", {}).get("name") == "seen":
                            states.append(item["job"]["state"])
                assert states[0] in ("Pending", "Created")
        for items in (hers, all_of_them):
            async with asyncio.timeout(60):
                while (item := await anext(items))["type"] != "removed" or item["name"] != "seen":
                    pass
        async with running(bob, "his", namespace="kf-bob", program="print(1)"):
            assert (await anext(his))["job"]["name"] == "his"  # and nothing of alice's before it


async def test_one_watch_serves_all_who_look_at_a_namespace(platform):
    cluster = Cluster(str(platform.plane.credentials.client("dashboard")))
    board = Board(cluster)
    alice, admin = Caller("alice"), Caller("admin", admin=True)
    async with contextlib.AsyncExitStack() as stack:
        for caller, namespace in ((alice, None), (alice, "kf-alice"), (admin, "kf-alice"), (admin, None)):
            items = await stack.enter_async_context(contextlib.aclosing(await board.watch(caller, namespace)))
            assert (await anext(items))["type"] == "snapshot"
        assert board.feeds.watches == 2
    assert board.feeds.watches == 0
    await cluster.close()


async def test_logs_of_all_replicas_and_of_some(as_user):
    alice = as_user("alice")
    program = "import os\nfor n in range(5):\n    print(os.environ['HOSTNAME'], n)"
    async with running(alice, "talk", program=program, Worker=3) as path:
        async with asyncio.timeout(60):
            items = [item async for item in alice.lines(f"{path}/logs?follow=1")]
        lines = {}
        for item in items:
            if item["type"] == "log":
                lines.setdefault(item["replica"], []).append(item["line"])
        assert lines == {
            replica: [f"talk-{replica} {n}" for n in range(5)] for replica in ("worker-0", "worker-1", "worker-2")
        }
        assert items[-1] == {"type": "end", "state": "Succeeded"}
        assert [item for item in items if item["type"] == "states"][-1]["replicas"].keys() == lines.keys()
        some = [item async for item in alice.lines(f"{path}/logs?replica=worker-2&replica=worker-1&tail=2")]
        told = [(item["replica"], item["line"]) for item in some if item["type"] == "log"]
        wanted = [(replica, f"talk-{replica} {n}") for replica in ("worker-1", "worker-2") for n in (3, 4)]
        assert (told, some[-1]) == (wanted, {"type": "end", "state": "Succeeded"})
        async with asyncio.timeout(60):
            again = [item async for item in alice.lines(f"{path}/logs?follow=1&tail=1&replica=worker-0")]
        assert [item["line"] for item in again if item["type"] == "log"] == ["talk-worker-0 4"]
        async with alice.open("GET", f"{path}/logs/worker-0/download") as answer:
            assert answer.headers["Content-Disposition"] == 'attachment; filename="talk-worker-0.log"'
            assert answer.content_type == "text/plain"
            assert await answer.text() == "".join(f"talk-worker-0 {n}\n" for n in range(5))
        for query in ("tail=0", "tail=x", "tail=10001", "follow=maybe"):
            status, answer = await alice.call("GET", f"{path}/logs?{query}")
            assert (status, answer["field"]) == (400, query.partition("=")[0])
        for rest in ("logs?replica=ps-0", "logs/ps-0/download"):
            status, answer = await alice.call("GET", f"{path}/{rest}")
            assert (status, answer["field"]) == (404, "replica"), rest


async def test_following_goes_on_while_the_job_runs(as_user):
    alice = as_user("alice")
    async with running(alice, "counts") as path:
        seen = []
        async with asyncio.timeout(60), contextlib.aclosing(alice.lines(f"{path}/logs?follow=1")) as items:
            async for item in items:
                seen += [item["line"]] if item["type"] == "log" else []
                if len(seen) == 5:
                    break
        assert seen == [f"step {n}" for n in range(5)]


# The original's interface


async def test_the_original_dashboards_interface(as_user):
    alice = as_user("alice")
    status, made = await alice.call("POST", "tfjobs/api/tfjob", job("classic", namespace="kf-alice", Worker=1))
    assert (status, made["kind"], made["metadata"]["name"]) == (201, "TFJob", "classic")
    await until_state(alice, "api/jobs/kf-alice/classic", "Succeeded")
    for path in ("tfjobs/api/tfjob", "tfjobs/api/tfjob/kf-alice"):
        status, found = await alice.call("GET", path)
        assert (status, found["kind"]) == (200, "TFJobList")
        assert "classic" in [item["metadata"]["name"] for item in found["items"]]
    status, detail = await alice.call("GET", "tfjobs/api/tfjob/kf-alice/classic")
    assert (status, detail["tfJob"]["metadata"]["name"]) == (200, "classic")
    assert [pod["metadata"]["name"] for pod in detail["pods"]] == ["classic-worker-0"]
    assert await alice.text("GET", "tfjobs/api/logs/kf-alice/classic-worker-0") == (200, '"done\\n"')
    status, spaces = await alice.call("GET", "tfjobs/api/namespace")
    assert [item["metadata"]["name"] for item in spaces["items"]] == ["kf-alice"]
    assert await alice.text("DELETE", "tfjobs/api/tfjob/kf-alice/classic") == (204, "")
    status, answer = await alice.call("GET", "tfjobs/api/tfjob/kf-alice/never")
    assert (status, answer["reason"]) == (404, "NotFound")
    status, answer = await alice.call("POST", "tfjobs/api/tfjob/kf-alice", job("x"))
    assert (status, answer["reason"]) == (405, "MethodNotAllowed")
    status, spaces = await as_user("admin").call("GET", "tfjobs/api/namespace")
    assert {"kf-admin", "kf-alice", "kf-bob"} <= {item["metadata"]["name"] for item in spaces["items"]}


# What it leans on may be away


async def test_hub_or_cluster_away_is_said_in_words(platform, unused_tcp_port_factory, monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "x")
    monkeypatch.setenv("JUPYTERHUB_CLIENT_ID", "service-tfjobs")
    monkeypatch.setenv("JUPYTERHUB_API_URL", f"http://127.0.0.1:{unused_tcp_port_factory()}/hub/api")
    application = Dashboard().application(Cluster("/nowhere/kubeconfig"))
    server = application.listen(port := unused_tcp_port_factory(), "127.0.0.1")
    try:
        headers = {"Authorization": "token y"}
        async with aiohttp.ClientSession(base_url=f"http://127.0.0.1:{port}/", headers=headers) as http:
            async with http.get("healthz") as answer:
                assert answer.status == 200
            async with http.get("api/jobs") as answer:
                assert (answer.status, (await answer.json())["reason"]) == (503, "HubUnreachable")
    finally:
        server.stop()
