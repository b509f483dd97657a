"""However large a user's job is, the operator's event loop takes its turns for those of others."""

import asyncio
from unittest import mock

from kf_spawner.kube import EventRecorder
from kf_spawner.operator.apply import Applier, Outcome
from kf_spawner.operator.controller import Controller
from kf_spawner.operator.metrics import Metrics
from kf_spawner.tfjob.plan import Plan
from tests.fixtures.canned_api import canned_api
from tests.fixtures.loop_time import loop_is_never_held

TEMPLATE = {"spec": {"containers": [{"name": "tensorflow", "image": "tf:1"}]}}
BIG = {
    "apiVersion": "kubeflow.org/v1",
    "kind": "TFJob",
    "metadata": {"namespace": "kf-ada", "name": "big", "uid": "job", "resourceVersion": "1"},
    "spec": {"tfReplicaSpecs": {"Worker": {"replicas": 10_000, "template": TEMPLATE}}},
    "status": {"tasks": {f"worker-{n}": {"restarts": 1, "pod": "x", "nodes": ["a", "b"]} for n in range(10_000)}},
}


async def test_a_job_of_ten_thousand_replicas():
    plans: asyncio.Queue[Plan] = asyncio.Queue()

    async def carry_out(_self: Applier, _key: str, _job: dict, plan: Plan) -> Outcome:
        plans.put_nowait(plan)
        return Outcome({})

    with canned_api() as api, mock.patch.object(Applier, "carry_out", carry_out):
        for path, items in {"apis/kubeflow.org/v1/tfjobs": [BIG], "api/v1/pods": [], "api/v1/services": []}.items():
            api.answers["GET", f"/{path}"] = {"metadata": {"resourceVersion": "1"}, "items": items}
        async with (
            api.client() as client,
            EventRecorder(client, component="test") as recorder,
            Controller(client, recorder, Metrics()) as controller,
            loop_is_never_held(),
        ):
            await controller.synced()
            controller.start()
            async with asyncio.timeout(120):
                plan = await plans.get()
    made = [child["metadata"]["name"] for child in plan.create if child["kind"] == "Pod"]
    assert (made[0], plan.is_partial) == ("big-worker-0", True)
