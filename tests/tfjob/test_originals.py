"""Manifests written for the original operator: what is made of them is, byte for byte, what always was.

The `.jsonl` files beside the manifests were written when no field of our own existed yet.
"""

import json
from pathlib import Path

import pytest
import yaml

from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.model import NOW, JobModel

ORIGINALS = sorted((Path(__file__).parent / "originals").glob("*.yaml"))


def made_of(path: Path) -> str:
    plan = decide(yaml.safe_load(path.read_text()), [], [], now=NOW)
    return "".join(json.dumps(child) + "\n" for child in plan.create)


@pytest.mark.parametrize("path", ORIGINALS, ids=lambda path: path.stem)
def test_the_children_are_as_they_were(path):
    made = made_of(path)
    assert made
    assert made == path.with_suffix(".jsonl").read_text()


def test_a_running_job_of_the_original_operator_goes_on():
    """Its pods and status stay as the original left them: we only add what is ours, and create nothing again."""
    model = JobModel(yaml.safe_load((ORIGINALS[0].parent / "parameter-servers.yaml").read_text())).settle()
    model.put_all("Running").settle()
    for service in model.services.values():
        del service["spec"]["publishNotReadyAddresses"]
    times = {"lastUpdateTime": "2025-12-31T00:00:00Z", "lastTransitionTime": "2025-12-31T00:00:00Z"}
    created = {"type": "Created", "status": "True", "reason": "TFJobCreated", "message": "TFJob is created.", **times}
    running = {**created, "type": "Running", "reason": "TFJobRunning", "message": "TFJob is running."}
    model.job["status"] = {
        "conditions": [created, running],
        "replicaStatuses": {"PS": {"active": 2, "selector": "x"}, "Worker": {"active": 3, "succeeded": 1}},
        "startTime": "2025-12-31T00:00:00Z",
        "lastReconcileTime": "2025-12-31T00:00:00Z",
    }
    plan = model.put("worker-3", "Succeeded", code=0).step()
    assert (plan.create, plan.delete, plan.events, plan.counted) == ((), (), (), ())
    assert model.status["conditions"] == [created, running]
    assert model.status["startTime"] == "2025-12-31T00:00:00Z"
    assert model.put("worker-0", "Succeeded", code=0).settle().state == "Succeeded"
