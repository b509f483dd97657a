"""A job of many replicas is made and ended in slices, so that its plans stay small and others get their turn."""

from kf_spawner.tfjob.plan import SLICE, Plan, Refusal
from tests.tfjob.builders import job
from tests.tfjob.model import JobModel, running, suspend


def pods(plan: Plan) -> list[str]:
    return [child["metadata"]["name"] for child in plan.create if child["kind"] == "Pod"]


def test_replicas_are_made_slice_by_slice():
    model = JobModel(job(Worker=2 * SLICE + 3))
    plans = [model.step() for _ in range(3)]
    assert [len(pods(plan)) for plan in plans] == [SLICE, SLICE, 3]
    assert [plan.is_partial for plan in plans] == [True, True, False]
    assert len(model.pods) == len(model.services) == 2 * SLICE + 3
    assert not model.step().create


def test_refused_replicas_do_not_hold_up_the_rest_and_are_told():
    model = JobModel(job(Worker=3 * SLICE))
    refused = pods(model.step())
    model.pods.clear()
    model.services.clear()
    plan = model.step(refusals={name: Refusal("exceeded quota") for name in refused})
    assert pods(plan) == [f"mnist-worker-{index}" for index in range(2 * SLICE)]
    assert f"{refused[0]} cannot be created: exceeded quota" in model.message("Created")


def test_refused_replicas_are_tried_again_those_first_that_wait_longest():
    names = [f"mnist-worker-{index}" for index in range(SLICE + 2)]
    refusals = {name: Refusal("exceeded quota") for name in [*names[2:], *names[:2]]}
    assert pods(JobModel(job(Worker=SLICE + 2)).step(refusals=refusals)) == names[2:]


def test_one_that_is_refused_again_and_again_is_the_one_that_is_told():
    """Though the retries go on with others: the message must not change with each of them."""
    model = JobModel(job(Worker=4 * SLICE))
    plan, told = model.step(), set()
    for _ in range(4):
        model.pods.clear()
        plan = model.step(refusals={name: Refusal("exceeded quota") for name in pods(plan)})
        told.add(model.message("Created"))
        assert len(pods(plan)) == 2 * SLICE
    assert len(told) == 1


def test_a_large_job_ends_slice_by_slice():
    model = running(Worker=SLICE + 1)
    suspend(model, True)
    plan = model.step()
    assert (len(plan.delete), plan.is_partial) == (SLICE, True)
    model.settle()
    assert not model.pods
    assert not model.services
    assert not model.plan.is_partial
