"""Gang scheduling and Kueue against a real API server; the tests act as the schedulers."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kf_spawner.kube.resources import CRDS
from kf_spawner.operator.apply import pod_groups_of
from kf_spawner.tfjob.names import JOB_LABEL, OPERATOR_LABEL, OPERATOR_NAME, TFJOBS
from kf_spawner.tfjob.ownership import controller_of
from kf_spawner.tfjob.podgroup import Gang
from tests.fixtures.control_plane import ControlPlane
from tests.operator.conftest import Namespace, OperatorProcess, an_operator, kubectl, until_served
from tests.tfjob.builders import job

CRDS_FILE = Path(__file__).parent / "podgroups-crds.yaml"
VOLCANO, COSCHEDULING = Gang("volcano"), Gang("scheduler-plugins")


@pytest.fixture(scope="module")
def schedulers(control_plane, operator_kubeconfig):
    """The kinds of both schedulers."""
    install(control_plane)


def install(control_plane: ControlPlane) -> None:
    kubectl(control_plane, "apply", "-f", str(CRDS_FILE))
    for gang in (VOLCANO, COSCHEDULING):
        until_served(control_plane, f"podgroups.{gang.api_version.partition('/')[0]}")


@pytest.fixture
def operator(operator_kubeconfig, tmp_path) -> Iterator[Callable[..., OperatorProcess]]:
    """Starts an operator for one namespace, whatever else is going on in the cluster."""
    with contextlib.ExitStack() as stack:

        def start(namespace: Namespace, *options: str) -> OperatorProcess:
            log = tmp_path / "operator.log"
            return stack.enter_context(
                an_operator(operator_kubeconfig, log, f"--namespace={namespace.name}", *options)
            )

        yield start


async def group_of(namespace: Namespace, gang: Gang, check: Callable[[dict], object] = lambda _: True) -> dict:
    """The PodGroup of the job `mnist`, once there is one that `check` likes."""

    async def found():
        groups = (await namespace.client.list(pod_groups_of(gang), namespace.name))["items"]
        return next((group for group in groups if group["metadata"]["name"] == "mnist" and check(group)), None)

    return await namespace.until(found)


async def until_no_group(namespace: Namespace, gang: Gang) -> None:
    async def gone():
        return not (await namespace.client.list(pod_groups_of(gang), namespace.name))["items"]

    await namespace.until(gone)


async def put_phase(namespace: Namespace, phase: str, **status: object) -> None:
    status = {"status": {"phase": phase, **status}}
    await namespace.client.patch(pod_groups_of(VOLCANO), "mnist", status, namespace.name, subresource="status")


async def change(namespace: Namespace, spec: dict) -> None:
    await namespace.client.patch(TFJOBS, "mnist", {"spec": spec}, namespace.name)


async def test_volcano_from_create_to_success(namespace, schedulers, operator):
    operator(namespace, "--gang-scheduler-name=volcano")
    await namespace.create(job(Worker=2, run_policy={"schedulingPolicy": {"queue": "q", "priorityClass": "high"}}))
    group = await group_of(namespace, VOLCANO)
    assert group["spec"] == {"minMember": 2, "minResources": {}, "queue": "q", "priorityClassName": "high"}
    assert group["metadata"]["ownerReferences"][0]["kind"] == "TFJob"

    unschedulable = {"type": "Unschedulable", "status": "True", "message": "queue q is full"}
    await put_phase(namespace, "Pending", conditions=[unschedulable])
    await namespace.until_told("queue q is full")
    assert await namespace.pods() == {}

    await put_phase(namespace, "Inqueue")
    pods = await namespace.until_pods("mnist-worker-0", "mnist-worker-1")
    for pod in pods.values():
        assert pod["spec"]["schedulerName"] == "volcano"
        assert pod["metadata"]["annotations"]["scheduling.k8s.io/group-name"] == "mnist"
        assert pod["metadata"]["annotations"]["volcano.sh/task-spec"] == "worker"

    await put_phase(namespace, "Running")
    await change(namespace, {"tfReplicaSpecs": {"Worker": {"replicas": 1}}})
    await namespace.until_pods("mnist-worker-0")
    await group_of(namespace, VOLCANO, lambda group: group["spec"]["minMember"] == 1)
    await namespace.put("mnist-worker-0", "Succeeded", code=0)
    await namespace.until_state("Succeeded")
    await until_no_group(namespace, VOLCANO)
    assert set(await namespace.pods()) == {"mnist-worker-0"}
    for reason in ("SuccessfulCreatePodGroup", "JobTerminated", "SuccessfulDeletePodGroup"):
        await namespace.until_event(reason)


async def test_a_group_without_owner_is_adopted(namespace, schedulers, operator):
    """As one that a job deleted with `--cascade=orphan` has left."""
    operator(namespace, "--gang-scheduler-name=volcano")
    body = {
        "apiVersion": VOLCANO.api_version,
        "kind": "PodGroup",
        "metadata": {
            "name": "mnist",
            "namespace": namespace.name,
            "labels": {OPERATOR_LABEL: OPERATOR_NAME, JOB_LABEL: "mnist"},
        },
        "spec": {"minMember": 1},
    }
    left = await namespace.client.create(pod_groups_of(VOLCANO), body)
    made = await namespace.create(job(Worker=2))
    group = await group_of(namespace, VOLCANO, lambda group: group["spec"]["minMember"] == 2)
    assert group["metadata"]["uid"] == left["metadata"]["uid"]
    assert controller_of(group) == made["metadata"]["uid"]


async def test_coscheduling_and_suspend(namespace, schedulers, operator):
    operator(namespace, "--gang-scheduler-name=scheduler-plugins")
    policy = {"suspend": True, "schedulingPolicy": {"minAvailable": 1, "scheduleTimeoutSeconds": 10}}
    await namespace.create(job(Worker=2, run_policy=policy))
    await namespace.until_state("Suspended")
    await until_no_group(namespace, COSCHEDULING)
    await change(namespace, {"runPolicy": {"suspend": False}})
    pods = await namespace.until_pods("mnist-worker-0", "mnist-worker-1")
    assert pods["mnist-worker-0"]["spec"]["schedulerName"] == "scheduler-plugins"
    assert pods["mnist-worker-0"]["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] == "mnist"
    group = await group_of(namespace, COSCHEDULING)
    assert group["spec"] == {"minMember": 1, "minResources": {}, "scheduleTimeoutSeconds": 10}
    await change(namespace, {"runPolicy": {"suspend": True}})
    await namespace.until_pods()
    await until_no_group(namespace, COSCHEDULING)


async def test_a_group_of_before_is_taken_over(namespace, schedulers, operator):
    """Made by the original operator, which gave it no labels; and left by a killed one of ours."""
    made = await namespace.create(job(Worker=1))
    owner = {"apiVersion": "kubeflow.org/v1", "kind": "TFJob", "name": "mnist", "uid": made["metadata"]["uid"]}
    group = {
        "apiVersion": VOLCANO.api_version,
        "kind": "PodGroup",
        "metadata": {
            "name": "mnist",
            "namespace": namespace.name,
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {"minMember": 1, "queue": "default"},
    }
    await namespace.client.create(pod_groups_of(VOLCANO), group)
    await put_phase(namespace, "Running")
    operator(namespace, "--gang-scheduler-name=volcano")
    await namespace.until_pods("mnist-worker-0")


async def test_without_the_schedulers_kind_the_job_waits_and_says_so(namespace, schedulers, operator, control_plane):
    """The kind is there again later: the job goes on by itself."""
    name = "podgroups.scheduling.x-k8s.io"
    await namespace.client.delete(CRDS, name)

    async def removed():
        return all(crd["metadata"]["name"] != name for crd in (await namespace.client.list(CRDS))["items"])

    await namespace.until(removed)
    process = operator(namespace, "--gang-scheduler-name=scheduler-plugins")
    await namespace.create(job(Worker=1))
    await namespace.until_told("install the gang scheduler's CRDs")
    assert await namespace.pods() == {}
    assert process.get("/readyz") == "ok\n"
    install(control_plane)
    await namespace.until_pods("mnist-worker-0")
    await namespace.until_event("FailedCreatePodGroup")


async def test_a_job_in_kueues_queue(namespace, operator_kubeconfig, operator):
    """Kueue holds a job by `suspend`, and says at its start in the template where the pods may run."""
    operator(namespace)
    queued = job(Worker=2, run_policy={"suspend": True})
    await namespace.client.create(
        TFJOBS,
        {
            **queued,
            "metadata": {
                "name": "mnist",
                "namespace": namespace.name,
                "labels": {"kueue.x-k8s.io/queue-name": "user-queue"},
            },
        },
    )
    await namespace.until_state("Suspended")
    assert await namespace.pods() == {}
    admitted = {"nodeSelector": {"flavor": "spot"}, "tolerations": [{"key": "spot", "operator": "Exists"}]}
    template = {"metadata": {"labels": {"kueue.x-k8s.io/podset": "worker"}}, "spec": admitted}
    await change(
        namespace,
        {"runPolicy": {"suspend": False}, "tfReplicaSpecs": {"Worker": {"template": template}}},
    )
    for pod in (await namespace.until_pods("mnist-worker-0", "mnist-worker-1")).values():
        assert pod["spec"]["nodeSelector"] == {"flavor": "spot"}
        assert {"key": "spot", "operator": "Exists"} in pod["spec"]["tolerations"]
        assert pod["metadata"]["labels"]["kueue.x-k8s.io/podset"] == "worker"
    await change(
        namespace,
        {
            "runPolicy": {"suspend": True},
            "tfReplicaSpecs": {"Worker": {"template": {"spec": {"nodeSelector": None, "tolerations": None}}}},
        },
    )
    await namespace.until_pods()
    job_now = await namespace.until_state("Suspended")
    assert "nodeSelector" not in job_now["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]
