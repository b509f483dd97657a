"""Which children a job adopts and which it releases, by the rules alone."""

import pytest

from kf_spawner.tfjob.names import JOB_LABEL, OPERATOR_LABEL
from kf_spawner.tfjob.ownership import adoptions
from kf_spawner.tfjob.plan import Plan, Refusal
from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.builders import job
from tests.tfjob.model import JobModel

NAME = "mnist-worker-0"


def running() -> JobModel:
    """One worker, which a test may estrange from its job."""
    model = JobModel(job(Worker=1)).settle().put("worker-0", "Running").settle()
    for number, child in enumerate((model.pods[NAME], model.services[NAME])):
        child["metadata"]["resourceVersion"] = str(number)
    return model


def orphaned() -> JobModel:
    model = running()
    for child in (model.pods[NAME], model.services[NAME]):
        del child["metadata"]["ownerReferences"]
    return model


def test_orphans_are_adopted_before_all_else():
    model = orphaned()
    uids = [held[NAME]["metadata"]["uid"] for held in (model.pods, model.services)]
    plan = model.step()
    assert plan.adopt == (("Pod", NAME, uids[0], "0"), ("Service", NAME, uids[1], "1"))
    assert plan == Plan(adopt=plan.adopt, is_partial=True)


@pytest.mark.parametrize(
    ("pod_name", "is_adopted"),
    [
        (NAME, True),
        ("mnist-worker-17", True),
        ("mnist-chief-0", True),
        ("mnist-worker-01", False),
        ("mnist-worker-", False),
        ("mnist-worker-0-debug", False),
        ("mnist-helper-0", False),
        ("other-worker-0", False),
    ],
)
def test_only_what_could_be_a_replica_by_name_is_adopted(pod_name, is_adopted):
    model = orphaned()
    model.pods[NAME]["metadata"]["name"] = pod_name
    assert ("Pod" in [adoption.kind for adoption in model.step().adopt]) == is_adopted


@pytest.mark.parametrize("label", [JOB_LABEL, OPERATOR_LABEL])
@pytest.mark.parametrize("value", ["another", None])
def test_what_is_labelled_otherwise_is_not_adopted_and_what_is_ours_released(label, value):
    for model, expected in ((orphaned(), ()), (running(), (NAME,))):
        labels = model.pods[NAME]["metadata"]["labels"]
        labels[label] = value
        if value is None:
            del labels[label]
        adopt, release = adoptions(model.job, model.pods.values(), ())
        assert adopt == []
        assert tuple(adoption.name for adoption in release) == expected


def test_what_is_on_its_way_out_is_not_adopted():
    model = orphaned()
    model.terminate("worker-0")
    assert [adoption.kind for adoption in model.step().adopt] == ["Service"]


def test_a_refusal_does_not_hold_up_the_job():
    """What cannot be released stays the job's, what cannot be adopted is told of where it is to be made."""
    refusals = {NAME: Refusal("no")}
    model = running()
    del model.pods[NAME]["metadata"]["labels"]
    model.put("worker-0", "Succeeded", code=0).step(refusals=refusals)
    assert model.state == "Succeeded"
    model = orphaned()
    model.pods, model.services, orphans = {}, {}, [[pods[NAME]] for pods in (model.pods, model.services)]
    plan = decide(model.job, *orphans, now=model.now, refusals=refusals)
    assert [child["metadata"]["name"] for child in plan.create] == [NAME, NAME]
    assert plan.status["conditions"][0]["message"] == f"{NAME} cannot be created: no"


def test_a_job_that_is_being_deleted_leaves_its_orphans_alone():
    model = orphaned()
    model.job["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert model.step() == Plan()
