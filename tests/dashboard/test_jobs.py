"""Making, changing and deleting jobs through the dashboard's REST interface, on pods that really run."""

import asyncio
import contextlib
import json

import pytest

from kf_spawner.kube import NotFound
from kf_spawner.tfjob.names import TFJOBS
from tests.dashboard.client import PATIENCE, job, running, until, until_state
from tests.fixtures.platform import PLAIN_IMAGE

pytestmark = pytest.mark.asyncio(loop_scope="session")


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

    def complete(detail: dict) -> bool:
        ended = {(view["replica"], view["exit_code"]) for view in detail["replicas"]}
        told = {event["reason"] for event in detail["events"]}
        succeeded = detail["state"] == "Succeeded" and ended == {("worker-0", 0), ("worker-1", 0)}
        return succeeded and "SuccessfulCreatePod" in told

    detail = await until(alice, "api/jobs/kf-alice/from-form", complete)
    assert detail["replicas"][0]["tf_config"]["task"] == {"type": "worker", "index": 0}
    assert detail["replicas"][0]["node"]
    conditions = [one["type"] for one in detail["conditions"]]
    assert (conditions[0], conditions[-1]) == ("Created", "Succeeded")  # Running may be over before it is seen
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
NO_AMOUNT = {"name": "ok", "replicas": [{"type": "Worker", "image": "x", "cpu": "fast", "memory": "lots"}]}
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
        ({"form": NO_AMOUNT}, 400, ["replicas[0].cpu", "replicas[0].memory"]),
        ({"form": BAD_VARIABLE}, 422, ["replicas[0].env[0].name"]),
        ({"form": {**NO_CLAIM, "namespace": "kf-bob"}}, 403, ["namespace"]),
        ({"form": {**NO_CLAIM, "name": "Bad"}}, 400, ["name", "volumes[0].claim"]),
        ({**job("x"), "spec": {**job("x")["spec"], "notAField": 1}}, 422, ["spec.notAField"]),
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


async def test_suspend_resume_and_scale(dashboard, as_user):
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


async def test_delete(dashboard, as_user):
    alice = as_user("alice")
    async with running(alice, "doomed") as path:
        async with contextlib.aclosing(alice.lines(f"{path}/watch")) as items:
            assert (await anext(items))["job"]["name"] == "doomed"
            status, answer = await alice.call("DELETE", path)
            assert (status, answer) == (202, {"name": "doomed", "namespace": "kf-alice", "deleting": True})
            async with asyncio.timeout(PATIENCE):
                seen = [item async for item in items]
        assert seen[-1] == {"type": "gone"}
        assert (await alice.call("DELETE", path))[0] == 404
        with pytest.raises(NotFound):
            await dashboard.admin.get(TFJOBS, "doomed", "kf-alice")


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
