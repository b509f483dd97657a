"""Which children a job adopts and which it releases, by the rules alone."""

import pytest

from kf_spawner.tfjob.names import JOB_LABEL, OPERATOR_LABEL
from kf_spawner.tfjob.ownership import adoptions
from kf_spawner.tfjob.plan import Plan, Refusal
from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.world import World, job

NAME = "mnist-worker-0"


def running() -> World:
    """One worker, which a test may estrange from its job."""
    world = World(job(Worker=1)).settle().put("worker-0", "Running").settle()
    for number, child in enumerate((world.pods[NAME], world.services[NAME])):
        child["metadata"]["resourceVersion"] = str(number)
    return world


def orphaned() -> World:
    world = running()
    for child in (world.pods[NAME], world.services[NAME]):
        del child["metadata"]["ownerReferences"]
    return world


def test_orphans_are_adopted_before_all_else():
    world = orphaned()
    uids = [held[NAME]["metadata"]["uid"] for held in (world.pods, world.services)]
    plan = world.step()
    assert plan.adopt == (("Pod", NAME, uids[0], "0"), ("Service", NAME, uids[1], "1"))
    assert plan == Plan(adopt=plan.adopt, requeue_after=0.0)


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
    world = orphaned()
    world.pods[NAME]["metadata"]["name"] = pod_name
    assert ("Pod" in [adoption.kind for adoption in world.step().adopt]) == is_adopted


@pytest.mark.parametrize("label", [JOB_LABEL, OPERATOR_LABEL])
@pytest.mark.parametrize("value", ["another", None])
def test_what_is_labelled_otherwise_is_not_adopted_and_what_is_ours_released(label, value):
    for world, expected in ((orphaned(), ()), (running(), (NAME,))):
        labels = world.pods[NAME]["metadata"]["labels"]
        labels[label] = value
        if value is None:
            del labels[label]
        adopt, release = adoptions(world.job, world.pods.values(), ())
        assert adopt == []
        assert tuple(adoption.name for adoption in release) == expected


def test_what_is_on_its_way_out_is_not_adopted():
    world = orphaned()
    world.terminate("worker-0")
    assert [adoption.kind for adoption in world.step().adopt] == ["Service"]


def test_a_refusal_does_not_hold_up_the_job():
    """What cannot be released stays the job's, what cannot be adopted is told of where it is to be made."""
    refusals = {NAME: Refusal("no")}
    world = running()
    del world.pods[NAME]["metadata"]["labels"]
    world.put("worker-0", "Succeeded", code=0).step(refusals=refusals)
    assert world.state == "Succeeded"
    world = orphaned()
    world.pods, world.services, orphans = {}, {}, [[pods[NAME]] for pods in (world.pods, world.services)]
    plan = decide(world.job, *orphans, now=world.now, refusals=refusals)
    assert [child["metadata"]["name"] for child in plan.create] == [NAME, NAME]
    assert plan.status["conditions"][0]["message"] == f"{NAME} cannot be created: no"


def test_a_job_that_is_being_deleted_leaves_its_orphans_alone():
    world = orphaned()
    world.job["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    assert world.step() == Plan()
