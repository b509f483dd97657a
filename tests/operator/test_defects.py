"""Known defects of the original operator, on a real API server: what it did wrong, done right.

Here is what shows only with a loop around the rules; each rule by itself is in tests/tfjob/test_defects.py. The tests
play the kubelet, and what is wrong with a node.
"""

import pytest

from kf_spawner.kube import Invalid
from kf_spawner.kube.resources import CLAIMS, NODES, PODS
from kf_spawner.tfjob.names import TFJOBS
from tests.operator.conftest import Namespace
from tests.tfjob.builders import claim, job
from tests.tfjob.upstream import upstream

pytestmark = pytest.mark.usefixtures("shared_operator")


async def create(namespace: Namespace, spec: dict, *tasks: str) -> dict[str, dict]:
    """The pods of the new job, once all of `tasks` are there."""
    await namespace.create(spec)
    return await namespace.until_pods(*(f"mnist-{task}" for task in tasks))


async def bind(namespace: Namespace, task: str, node: str) -> None:
    """What the scheduler would do; the node need not exist."""
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": f"mnist-{task}"},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
    await namespace.client.create_subresource(PODS, f"mnist-{task}", namespace.name, "binding", body)


def gone(namespace: Namespace) -> str:
    """A node that is not there. Each test has its own: after a while Kubernetes itself ends the pods of one."""
    return f"gone-{namespace.name}"


async def remove(namespace: Namespace, task: str, *, grace: int) -> None:
    await namespace.client.delete(PODS, f"mnist-{task}", namespace.name, grace_period=grace)


async def failed_because(namespace: Namespace) -> str:
    return (await namespace.until_state("Failed"))["status"]["conditions"][-1]["message"]


async def failed_at_start_deadline(namespace: Namespace) -> str:
    """A deadline that a job has from its first moment on may pass before what it is about is known."""
    policy = {"spec": {"runPolicy": {"startDeadlineSeconds": 1}}}
    await namespace.client.patch(TFJOBS, "mnist", policy, namespace.name)
    return await failed_because(namespace)


@upstream("#3358")
async def test_a_deadline_is_kept_when_nothing_happens(namespace):
    await namespace.create(job(Worker=1, run_policy={"activeDeadlineSeconds": 1}))
    assert "longer than specified deadline" in await failed_because(namespace)
    await namespace.until_pods()


@upstream("#2045", "#2342")
async def test_pods_created_again_count_for_the_backoff_limit(namespace):
    pods = await create(namespace, job(Worker=1, restart="ExitCode", run_policy={"backoffLimit": 1}), "worker-0")
    await namespace.put("mnist-worker-0", "Failed", code=137)
    await namespace.until_recreated(pods["mnist-worker-0"])
    await namespace.put("mnist-worker-0", "Failed", code=137)
    assert "backoff limit" in await failed_because(namespace)


@pytest.fixture
async def node(namespace) -> str:
    """A node that is ready, and takes no pods but those bound to it by hand."""
    name = namespace.name
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {"unschedulable": True}}
    await namespace.client.create(NODES, node)
    await set_ready(namespace, name, "True")
    yield name
    await namespace.client.delete(NODES, name)


async def set_ready(namespace: Namespace, node: str, ready: str) -> None:
    status = {"conditions": [{"type": "Ready", "status": ready, "reason": "Test", "message": ""}]}
    await namespace.client.patch(NODES, node, {"status": status}, subresource="status")


@upstream("#2124")
@pytest.mark.parametrize("policy", ["OnFailure", "Always", "ExitCode"])
async def test_a_pod_that_is_drained_is_made_again(namespace, node, policy):
    spec = job(Worker=2, restart=policy, run_policy={"backoffLimit": 0})
    pods = await create(namespace, spec, "worker-0", "worker-1")
    await bind(namespace, "worker-1", node)
    for name in pods:
        await namespace.put(name, "Running")
    await namespace.until_count("Worker", active=2)
    await remove(namespace, "worker-1", grace=600)
    await namespace.put("mnist-worker-1", "Failed", code=1)
    await namespace.until_count("Worker", active=1)
    await remove(namespace, "worker-1", grace=0)
    await namespace.until_recreated(pods["mnist-worker-1"])
    await namespace.put("mnist-worker-1", "Running")
    status = (await namespace.until_count("Worker", active=2))["status"]
    assert status["conditions"][-1]["type"] == "Running"


@upstream("#2072")
@pytest.mark.parametrize("fate", ["NotReady", "gone"])
async def test_a_replica_on_a_lost_node_is_created_again(namespace, node, fate):
    """Its pod terminates, and nobody is left to end it."""
    pods = await create(namespace, job(Worker=1, restart="OnFailure"), "worker-0")
    await bind(namespace, "worker-0", node if fate == "NotReady" else gone(namespace))
    await namespace.put("mnist-worker-0", "Running")
    await namespace.until_state("Running")
    await set_ready(namespace, node, "Unknown")
    await remove(namespace, "worker-0", grace=1)
    again = await namespace.until_recreated(pods["mnist-worker-0"])
    assert not again["spec"].get("nodeName")
    await namespace.until_state("Restarting")
    await namespace.put("mnist-worker-0", "Running")
    await namespace.until_state("Running")
    await namespace.until_event("TFJobNodeLost")


@upstream("#2072")
async def test_a_lost_replica_that_is_never_to_be_restarted_fails_the_job(namespace):
    await create(namespace, job(Worker=1, run_policy={"cleanPodPolicy": "All"}), "worker-0")
    await bind(namespace, "worker-0", gone(namespace))
    await namespace.put("mnist-worker-0", "Running")
    await remove(namespace, "worker-0", grace=1)
    assert (await failed_because(namespace)).endswith("1 Worker replica(s) failed.")
    await namespace.until_pods()


@upstream("#1997", "#1186", "#2453")
async def test_a_completed_worker_does_not_run_again(namespace):
    await create(namespace, job(Chief=1, Worker=1), "chief-0", "worker-0")
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    await namespace.until_count("Worker", succeeded=1)
    await remove(namespace, "worker-0", grace=0)
    await namespace.put("mnist-chief-0", "Running")
    await namespace.until_state("Running")
    assert set(await namespace.pods()) == {"mnist-chief-0"}


@upstream("#1658")
async def test_an_evaluator_may_end_in_peace(namespace):
    policy = {"waitForEvaluator": True, "cleanPodPolicy": "All"}
    await create(namespace, job(Chief=1, Evaluator=1, run_policy=policy), "chief-0", "evaluator-0")
    for name in ("mnist-chief-0", "mnist-evaluator-0"):
        await namespace.put(name, "Running")
    await namespace.until_state("Running")
    await namespace.put("mnist-chief-0", "Succeeded", code=0)
    await namespace.until_count("Chief", succeeded=1)
    assert set(await namespace.pods()) == {"mnist-chief-0", "mnist-evaluator-0"}
    await namespace.put("mnist-evaluator-0", "Succeeded", code=0)
    await namespace.until_state("Succeeded")
    await namespace.until_pods()


@upstream("#1101")
async def test_a_name_that_is_too_long_is_refused(namespace):
    with pytest.raises(Invalid, match="shorten it"):
        await namespace.create(job("m" * 55, Worker=1))
    await namespace.create(job("m" * 54, Worker=1))
    await namespace.until_pods(f"{'m' * 54}-worker-0")
    assert set(await namespace.services()) == {f"{'m' * 54}-worker-0"}


@upstream("#2001", "#1136", "#1282")
async def test_an_image_that_cannot_be_pulled_ends_the_job_in_time(namespace):
    await create(namespace, job(Worker=2), "worker-0", "worker-1")
    await namespace.put("mnist-worker-0", "Running")
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    container = {"name": "tensorflow", "image": "nosuch", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    await namespace.client.patch(PODS, "mnist-worker-1", {"status": status}, namespace.name, subresource="status")
    await namespace.until_told("cannot pull its image 'nosuch'")
    await namespace.until_count("Worker", active=1)
    message = await failed_at_start_deadline(namespace)
    assert (
        "mnist-worker-1 did not start within 1 seconds. Pod mnist-worker-1 cannot pull its image 'nosuch'" in message
    )
    await namespace.until_pods()

    async def freed():
        return not await namespace.services()

    await namespace.until(freed)


@upstream("#2001")
async def test_what_cannot_be_scheduled_ends_the_job_in_time(namespace):
    """No node here: the real scheduler says so."""
    await create(namespace, job(Worker=1), "worker-0")
    await namespace.until_told("cannot be scheduled")
    assert "mnist-worker-0 cannot be scheduled: " in await failed_at_start_deadline(namespace)


@upstream("#1458")
async def test_a_replica_has_its_address_before_it_runs(namespace):
    pods = await create(namespace, job(Worker=2, PS=1), "worker-0", "worker-1", "ps-0")
    services = await namespace.services()
    first_pod = min(int(pod["metadata"]["resourceVersion"]) for pod in pods.values())
    for name in pods:
        assert int(services[name]["metadata"]["resourceVersion"]) < first_pod
        assert services[name]["spec"]["publishNotReadyAddresses"] is True


async def test_a_job_ends_in_one_way_only(namespace):
    await create(namespace, job(Chief=1, Worker=1), "chief-0", "worker-0")
    await namespace.put("mnist-chief-0", "Succeeded", code=0)
    await namespace.put("mnist-worker-0", "Failed", code=1)
    status = (await namespace.until_state("Succeeded"))["status"]
    assert {entry["type"] for entry in status["conditions"] if entry["status"] == "True"} == {"Created", "Succeeded"}


# What the rules are tested for without one, and only the API server can say whether it takes it


@upstream("#949")
async def test_claims_stay_while_pods_come_and_go(namespace):
    spec = job(Worker=1, restart="ExitCode")
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("data")]
    pods = await create(namespace, spec, "worker-0")
    made = await namespace.client.get(CLAIMS, "data-mnist-worker-0", namespace.name)
    assert made["metadata"]["ownerReferences"] == pods["mnist-worker-0"]["metadata"]["ownerReferences"]
    await namespace.put("mnist-worker-0", "Failed", code=137)
    again = await namespace.until_recreated(pods["mnist-worker-0"])
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data-mnist-worker-0"}}
    assert volume in again["spec"]["volumes"]
    kept = await namespace.client.get(CLAIMS, "data-mnist-worker-0", namespace.name)
    assert kept["metadata"]["uid"] == made["metadata"]["uid"]


@upstream("#949")
async def test_a_pod_waits_for_a_claim_that_is_somebody_elses(namespace):
    """Until it is deleted, the pod would run on another's data."""
    other = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **claim("data-mnist-worker-0")}
    other["metadata"]["namespace"] = namespace.name
    await namespace.client.create(CLAIMS, other)
    spec = job(Worker=1)
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("data")]
    await namespace.create(spec)
    await namespace.until_told("data-mnist-worker-0 exists that is not this job's")
    assert await namespace.pods() == {}
    await namespace.client.delete(CLAIMS, "data-mnist-worker-0", namespace.name)
    await namespace.until_pods("mnist-worker-0")


@upstream("#2185")
async def test_a_replica_prefers_nodes_where_it_did_not_fail(namespace):
    pods = await create(
        namespace, job(Worker=1, restart="ExitCode", run_policy={"avoidFailedNodes": True}), "worker-0"
    )
    nodes = [f"{name}-{namespace.name}" for name in ("first", "second")]
    for node in nodes:
        await bind(namespace, "worker-0", node)
        await namespace.put("mnist-worker-0", "Failed", code=137)
        pods = {"mnist-worker-0": await namespace.until_recreated(pods["mnist-worker-0"])}
    affinity = pods["mnist-worker-0"]["spec"]["affinity"]["nodeAffinity"]
    (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert [field["values"] for field in term["preference"]["matchFields"]] == [[node] for node in nodes]
