"""Why a job does not get on, in words that say what to do."""

from kf_spawner.tfjob.plan import SLICE, Refusal
from tests.tfjob.builders import job
from tests.tfjob.model import JobModel, running


def waiting(model: JobModel, reason: str, message: str) -> JobModel:
    model.put("worker-1", "Pending")
    entry = model.pods["mnist-worker-1"]["status"]["containerStatuses"][0]
    entry.update(image="nosuch:1", state={"waiting": {"reason": reason, "message": message}})
    return model


def test_an_image_that_cannot_be_pulled_is_told():
    model = running(Worker=2)
    plan = waiting(model, "ErrImagePull", "not found.").step()
    assert model.state == "Running"
    assert model.message("Created") == (
        "Pod mnist-worker-1 cannot pull its image 'nosuch:1' (ErrImagePull): not found. "
        "Check the image's name and that the node may pull it."
    )
    assert plan.events[0].reason == "TFJobImagePullFailed"
    plan = waiting(model, "ImagePullBackOff", "back-off").step()
    assert (plan.status, plan.events) == (None, ())
    model.put("worker-1", "Running").settle()
    assert model.message("Created") == "TFJob mnist is created."


def test_what_may_pass_is_not_called_the_templates_fault():
    model = running(Worker=2)
    waiting(model, "CreateContainerConfigError", "the API server does not answer").step()
    assert model.message("Created") == (
        "Pod mnist-worker-1 waits for what its container needs (CreateContainerConfigError): the API server does not "
        "answer. It starts by itself once that is available; otherwise correct the pod template."
    )
    model = running(Worker=2)
    waiting(model, "RunContainerError", "no such program").step()
    assert model.message("Created").endswith("no such program. Correct the pod template.")


def test_a_pod_that_fits_nowhere_is_told():
    model = JobModel(job(Worker=1)).settle()
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit."}
    model.put("worker-0", "Pending", conditions=[condition]).settle()
    assert "cannot be scheduled: 0/1 nodes fit." in model.message("Created")
    assert model.state == "Created"


def test_a_refused_pod_is_told_and_tried_again():
    model = JobModel(job(Worker=1))
    plan = model.step(refusals={"mnist-worker-0": Refusal("exceeded quota")})
    assert "mnist-worker-0 cannot be created: exceeded quota" in model.message("Created")
    assert len(plan.create) == 2
    model.pods.clear()
    assert model.step(refusals={"mnist-worker-0": Refusal("exceeded quota")}).status is None
    model.pods.clear()
    model.step(refusals={"mnist-worker-0": Refusal("the pod of before is still being deleted")})
    assert "still being deleted" in model.message("Created")


def test_a_refused_service_of_a_running_pod_is_told_and_has_its_turn_after_others():
    model = running(Worker=SLICE + 1)
    model.services.clear()
    names = list(model.pods)
    plan = model.step(refusals={name: Refusal("exceeded quota") for name in [*names[1:], names[0]]})
    assert [child["metadata"]["name"] for child in plan.create] == names[1:]
    assert "mnist-worker-0 cannot be created: exceeded quota" in model.message("Created")


def test_a_pod_that_is_refused_for_good_fails_the_job():
    model = JobModel(job(Worker=1))
    plan = model.step(refusals={"mnist-worker-0": Refusal("spec.containers[0].ports: Duplicate", final=True)})
    assert "mnist-worker-0 cannot be created: spec.containers[0].ports: Duplicate" in model.message("Failed")
    assert plan.create == ()


OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
TOLD = "Pod mnist-worker-1 used more memory than its limit and was ended; ask for more memory."


def ended_for_memory(model: JobModel, phase: str = "Failed", **container) -> JobModel:
    model.put("worker-1", phase, code=137)
    entry = model.pods["mnist-worker-1"]["status"]["containerStatuses"][0]
    entry.update({"state": {"terminated": OUT_OF_MEMORY}, **container})
    return model


def test_a_replica_out_of_memory_fails_the_job_in_words():
    model = running(Worker=2)
    plan = ended_for_memory(model).step()
    assert model.message("Failed") == f"TFJob kf-admin/mnist has failed because 1 Worker replica(s) failed. {TOLD}"
    assert ("Warning", "TFJobOutOfMemory", TOLD) in plan.events
    assert "OOMKilled" not in str(plan.status)


def test_a_replica_out_of_memory_restarts_in_words():
    model = running(Worker=2, restart="ExitCode")
    ended_for_memory(model).step()
    assert model.message("Restarting") == f"job mnist is restarting because Worker replica(s) failed. {TOLD}"


def test_a_replica_that_runs_out_of_memory_again_and_again():
    model = running(Worker=2, restart="OnFailure")
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    ended_for_memory(model, "Running", state=waiting, lastState={"terminated": OUT_OF_MEMORY}, restartCount=4).step()
    assert model.message("Created") == (
        "Pod mnist-worker-1 keeps using more memory than its limit and restarts after ever longer pauses; "
        "ask for more memory."
    )


def test_the_last_restart_allowed_names_the_cause():
    model = JobModel(job(Worker=2, restart="ExitCode"))
    model.job["spec"]["tfReplicaSpecs"]["Worker"]["maxRestarts"] = 0
    model.settle().put_all("Running").settle()
    ended_for_memory(model).step()
    assert model.message("Failed").endswith(f"as often as its maxRestarts allows. {TOLD}")


def test_an_evicted_replica_fails_the_job_in_words():
    model = running(Worker=2)
    model.put("worker-1", "Failed", reason="Evicted", message="The node was low on resource: ephemeral-storage. ")
    model.step()
    assert model.message("Failed").endswith(
        "1 Worker replica(s) failed. Pod mnist-worker-1 was evicted: its node ran out of disk space."
    )


def test_a_program_that_ends_by_itself_has_no_other_cause():
    model = running(Worker=2)
    model.put("worker-1", "Failed", code=137).step()
    assert model.message("Failed").endswith("1 Worker replica(s) failed.")
