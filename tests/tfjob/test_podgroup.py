"""PodGroups: what they say, when they are there, and how pods belong to them."""

import copy

import pytest

from kf_spawner.tfjob.plan import Refusal
from kf_spawner.tfjob.podgroup import Gang
from kf_spawner.tfjob.reconcile import decide
from tests.tfjob.builders import job
from tests.tfjob.model import NOW

VOLCANO, COSCHEDULING = Gang("volcano"), Gang("scheduler-plugins")


def with_resources(obj: dict, kind: str, **resources: dict) -> dict:
    obj["spec"]["tfReplicaSpecs"][kind]["template"]["spec"]["containers"][0]["resources"] = resources
    return obj


def a_job(**policy) -> dict:
    """Two workers and a parameter server that ask for 3 cores and 2.5 GiB in all."""
    obj = job(Worker=2, PS=1, run_policy={"schedulingPolicy": policy} if policy else None)
    with_resources(obj, "Worker", requests={"cpu": 1, "memory": "1Gi"}, limits={"cpu": 5})
    return with_resources(obj, "PS", limits={"cpu": "1000m", "memory": "512Mi"})


def first_plan(obj: dict, gang: Gang):
    return decide(obj, [], [], now=NOW, gang=gang)


def made(obj: dict, gang: Gang, phase: str = "") -> dict:
    """The group as it stands after the first turn."""
    (group,) = first_plan(obj, gang).create
    group = copy.deepcopy(group)
    group["metadata"].update(uid="g", resourceVersion="7")
    if phase:
        group["status"] = {"phase": phase}
    return group


def test_without_a_gang_scheduler_nothing_is_different():
    assert {child["kind"] for child in decide(a_job(), [], [], now=NOW).create} == {"Pod", "Service"}


def test_volcanos_group():
    obj = a_job()
    obj["metadata"]["annotations"] = {"a": "b", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    (group,) = first_plan(obj, VOLCANO).create
    assert (group["apiVersion"], group["kind"]) == ("scheduling.volcano.sh/v1beta1", "PodGroup")
    assert group["spec"] == {
        "minMember": 3,
        "minResources": {"cpu": "3", "memory": "2560Mi"},
        "queue": "default",
    }
    meta = group["metadata"]
    assert (meta["name"], meta["namespace"], meta["annotations"]) == ("mnist", "kf-admin", {"a": "b"})
    assert [(owner["kind"], owner["uid"], owner["controller"]) for owner in meta["ownerReferences"]] == [
        ("TFJob", "job-mnist", True)
    ]


def test_volcanos_group_with_a_policy():
    policy = {"minAvailable": 2, "queue": "q", "priorityClass": "high", "minResources": {"cpu": 1}}
    assert made(a_job(**policy), VOLCANO)["spec"] == {
        "minMember": 2,
        "minResources": {"cpu": 1},
        "queue": "q",
        "priorityClassName": "high",
    }


def test_coschedulings_group():
    group = made(a_job(minAvailable=2, scheduleTimeoutSeconds=60), COSCHEDULING)
    assert group["apiVersion"] == "scheduling.x-k8s.io/v1alpha1"
    assert group["spec"] == {
        "minMember": 2,
        "minResources": {"cpu": "2", "memory": "1536Mi"},  # the parameter server's and the first worker's
        "scheduleTimeoutSeconds": 60,
    }


@pytest.mark.parametrize(("phase", "kinds"), [
    ("", set()), ("Pending", set()), ("Inqueue", {"Pod", "Service"}), ("Running", {"Pod", "Service"})
])  # fmt: skip
def test_pods_wait_until_volcano_has_the_group_in_its_queue(phase, kinds):
    obj = a_job()
    plan = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[made(obj, VOLCANO, phase)])
    assert {child["kind"] for child in plan.create} == kinds
    assert plan.replace == ()


def test_pods_of_volcano():
    obj = a_job()
    obj["spec"]["tfReplicaSpecs"]["PS"]["template"]["spec"]["schedulerName"] = "mine"
    plan = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[made(obj, VOLCANO, "Inqueue")])
    pods = {child["metadata"]["name"]: child for child in plan.create if child["kind"] == "Pod"}
    assert pods["mnist-worker-1"]["spec"]["schedulerName"] == "volcano"
    assert pods["mnist-worker-1"]["metadata"]["annotations"] == {
        "scheduling.k8s.io/group-name": "mnist",
        "volcano.sh/task-spec": "worker",
    }
    assert pods["mnist-ps-0"]["spec"]["schedulerName"] == "mine"
    assert [event.reason for event in first_plan(obj, VOLCANO).events] == ["SetPodTemplateSchedulerName"]


def test_pods_of_coscheduling_under_any_name():
    gang = Gang("coscheduling")
    obj = a_job()
    plan = decide(obj, [], [], now=NOW, gang=gang, pod_groups=[made(obj, gang)])
    pod = next(child for child in plan.create if child["kind"] == "Pod")
    assert pod["spec"]["schedulerName"] == "coscheduling"
    assert pod["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"] == "mnist"
    assert "annotations" not in pod["metadata"]


def test_the_group_follows_the_job():
    obj = a_job(queue="q", priorityClass="high")
    group = made(obj, VOLCANO, "Running")
    group["spec"]["minResources"] = {"cpu": "3000m", "memory": "2684354560"}  # as another may write it
    assert decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group]).replace == ()
    obj["spec"]["tfReplicaSpecs"]["Worker"]["replicas"] = 4
    del obj["spec"]["runPolicy"]["schedulingPolicy"]
    (corrected,) = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group]).replace
    assert corrected["spec"] == {"minMember": 5, "minResources": {"cpu": "5", "memory": "4608Mi"}, "queue": "q"}
    assert corrected["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize("clean", ["None", "Running", "All"])
def test_the_group_goes_with_the_jobs_end(clean):
    obj = job(Worker=1, run_policy={"cleanPodPolicy": clean})
    group = made(obj, VOLCANO, "Running")
    obj["status"] = {"conditions": [{"type": "Succeeded", "status": "True", "reason": "TFJobSucceeded"}]}
    plan = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group])
    assert [(child.kind, child.name, child.uid) for child in plan.delete] == [("PodGroup", "mnist", "g")]
    assert [event.reason for event in plan.events] == ["JobTerminated"]
    group["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    again = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group])
    assert (again.delete, again.events) == ((), ())


def test_a_suspended_job_has_no_group():
    obj = job(Worker=1, run_policy={"suspend": True})
    group = made(job(Worker=1), VOLCANO, "Running")
    assert [child.kind for child in decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group]).delete] == [
        "PodGroup"
    ]
    assert decide(obj, [], [], now=NOW, gang=VOLCANO).create == ()


def test_another_jobs_group_is_none_of_ours():
    group = made(job(Worker=1), VOLCANO, "Running")
    group["metadata"]["ownerReferences"][0]["uid"] = "another"
    plan = decide(job(Worker=1), [], [], now=NOW, gang=VOLCANO, pod_groups=[group])
    assert [child["kind"] for child in plan.create] == ["PodGroup"]


def test_why_a_group_does_not_get_on_is_told():
    obj = a_job()
    group = made(obj, VOLCANO, "Pending")
    group["status"]["conditions"] = [{"type": "Unschedulable", "status": "True", "message": "3/3 tasks in gang."}]
    created = decide(obj, [], [], now=NOW, gang=VOLCANO, pod_groups=[group]).status["conditions"][0]
    assert created["reason"] == "TFJobUnschedulable"
    assert created["message"].startswith("PodGroup mnist cannot be scheduled: 3/3 tasks in gang. Ask for less")


@pytest.mark.parametrize(("final", "state"), [(False, "Created"), (True, "Failed")])
def test_a_group_that_is_refused(final, state):
    plan = decide(a_job(), [], [], now=NOW, gang=VOLCANO, refusals={"mnist": Refusal("no such kind", final=final)})
    last = plan.status["conditions"][-1]
    assert last["type"] == state
    assert "PodGroup mnist cannot be created: no such kind" in last["message"]
    assert all(child["kind"] == "PodGroup" for child in plan.create)
