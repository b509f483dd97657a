"""Why a job does not get on, in words that say what to do."""

from kf_spawner.tfjob.plan import Refusal
from tests.tfjob.world import World, job, running


def waiting(world: World, reason: str, message: str) -> World:
    world.put("worker-1", "Pending")
    entry = world.pods["mnist-worker-1"]["status"]["containerStatuses"][0]
    entry.update(image="nosuch:1", state={"waiting": {"reason": reason, "message": message}})
    return world


def test_an_image_that_cannot_be_pulled_is_told():
    world = running(Worker=2)
    plan = waiting(world, "ErrImagePull", "not found.").step()
    assert world.state == "Running"
    assert world.message("Created") == (
        "Pod mnist-worker-1 cannot get its image 'nosuch:1' (ErrImagePull): not found. "
        "Check the image's name and that the node may pull it."
    )
    assert plan.events[0].reason == "TFJobImagePullFailed"
    plan = waiting(world, "ImagePullBackOff", "back-off").step()
    assert (plan.status, plan.events) == (None, ())
    world.put("worker-1", "Running").settle()
    assert world.message("Created") == "TFJob mnist is created."


def test_what_may_pass_is_not_called_the_templates_fault():
    world = running(Worker=2)
    waiting(world, "CreateContainerConfigError", "the API server does not answer").step()
    assert world.message("Created") == (
        "Pod mnist-worker-1 waits for what its container needs (CreateContainerConfigError): the API server does not "
        "answer. It starts by itself once that is there; if it never will be, correct the pod template."
    )
    world = running(Worker=2)
    waiting(world, "RunContainerError", "no such program").step()
    assert world.message("Created").endswith("no such program. Correct the pod template.")


def test_a_pod_that_fits_nowhere_is_told():
    world = World(job(Worker=1)).settle()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit."}
    world.put("worker-0", "Pending", conditions=[condition]).settle()
    assert "cannot be scheduled: 0/1 nodes fit." in world.message("Created")
    assert world.state == "Created"


def test_a_refused_pod_is_told_and_tried_again():
    world = World(job(Worker=1))
    plan = world.step(refusals={"mnist-worker-0": Refusal("exceeded quota")})
    assert "mnist-worker-0 cannot be made: exceeded quota" in world.message("Created")
    assert len(plan.create) == 2
    world.pods.clear()
    assert world.step(refusals={"mnist-worker-0": Refusal("exceeded quota")}).status is None
    world.pods.clear()
    world.step(refusals={"mnist-worker-0": Refusal("the pod of before is still being deleted")})
    assert "still being deleted" in world.message("Created")


def test_a_pod_that_is_refused_for_good_fails_the_job():
    world = World(job(Worker=1))
    plan = world.step(refusals={"mnist-worker-0": Refusal("spec.containers[0].ports: Duplicate", final=True)})
    assert "mnist-worker-0 cannot be made: spec.containers[0].ports: Duplicate" in world.message("Failed")
    assert plan.create == ()
