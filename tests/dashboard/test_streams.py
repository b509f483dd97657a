"""What the dashboard's streams tell: the list and the logs as they change, of pods that really run."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from kf_spawner.dashboard.caller import Caller
from kf_spawner.dashboard.service import DashboardService
from kf_spawner.workloads.access import OwnAccess
from tests.dashboard.client import PATIENCE, following, running

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_list_as_it_changes(as_user):
    alice, admin, bob = as_user("alice"), as_user("admin"), as_user("bob")
    async with (
        contextlib.aclosing(alice.lines("api/watch")) as hers,
        contextlib.aclosing(admin.lines("api/watch")) as all_of_them,
        contextlib.aclosing(bob.lines("api/watch?namespace=kf-bob")) as his,
    ):
        for items in (hers, all_of_them, his):
            assert (await anext(items))["type"] == "snapshot"
        async with running(alice, "seen") as path:
            for items in (hers, all_of_them):
                await told_of(items, "seen", "Running")
            assert (await alice.call("PATCH", path, {"suspend": True}))[0] == 200
            for items in (hers, all_of_them):
                await told_of(items, "seen", "Suspended")
        for items in (hers, all_of_them):
            while (item := await following(items))["type"] != "removed" or item["name"] != "seen":
                pass
        async with running(bob, "his", namespace="kf-bob"):
            assert (await following(his))["job"]["name"] == "his"  # and nothing of alice's before it


async def told_of(items: AsyncIterator[dict], name: str, state: str) -> None:
    """Returns once the stream says that the job is in this state."""
    while (job := (await following(items)).get("job", {})).get("name") != name or job["state"] != state:
        pass


async def test_one_watch_serves_all_who_look_at_a_namespace(dashboard, platform):
    cluster = OwnAccess(str(platform.plane.credentials.client("dashboard")), user_agent="test")
    service = DashboardService(cluster)
    alice, admin = Caller("alice"), Caller("admin", admin=True)
    async with contextlib.AsyncExitStack() as stack:
        for caller, namespace in ((alice, None), (alice, "kf-alice"), (admin, "kf-alice"), (admin, None)):
            items = await stack.enter_async_context(contextlib.aclosing(await service.watch(caller, namespace)))
            assert (await anext(items))["type"] == "snapshot"
        assert service.list_watches.watches == 2
    assert service.list_watches.watches == 0
    await cluster.close()


async def test_logs_of_all_replicas_and_of_some(as_user):
    alice = as_user("alice")
    program = "import os\nfor n in range(5):\n    print(os.environ['HOSTNAME'], n)"
    async with running(alice, "talk", program=program, Worker=3) as path:
        async with asyncio.timeout(PATIENCE):
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
        async with asyncio.timeout(PATIENCE):
            again = [item async for item in alice.lines(f"{path}/logs?follow=1&tail=1&replica=worker-0")]
        assert [item["line"] for item in again if item["type"] == "log"] == ["talk-worker-0 4"]
        async with alice.open("GET", f"{path}/logs/worker-0/download") as answer:
            assert answer.headers["Content-Disposition"] == 'attachment; filename="talk-worker-0.log"'
            assert answer.content_type == "text/plain"
            assert await answer.text() == "".join(f"talk-worker-0 {n}\n" for n in range(5))
        for query in ("tail=0", "tail=x", "tail=10001", "tail=" + "9" * 5000, "follow=maybe"):
            status, answer = await alice.call("GET", f"{path}/logs?{query}")
            assert (status, answer["field"]) == (400, query.partition("=")[0])
        for rest in ("logs?replica=ps-0", "logs/ps-0/download"):
            status, answer = await alice.call("GET", f"{path}/{rest}")
            assert (status, answer["field"]) == (404, "replica"), rest


async def test_following_goes_on_while_the_job_runs(as_user):
    alice = as_user("alice")
    async with running(alice, "counts") as path:
        seen = []
        async with asyncio.timeout(PATIENCE), contextlib.aclosing(alice.lines(f"{path}/logs?follow=1")) as items:
            async for item in items:
                seen += [item["line"]] if item["type"] == "log" else []
                if len(seen) == 5:
                    break
        assert seen == [f"step {n}" for n in range(5)]
