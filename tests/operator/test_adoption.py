"""Adoption and release of children on a real API server, with its garbage collector; the tests act as the kubelet."""

import asyncio

import pytest

from kf_spawner.kube import Conflict, NotFound
from kf_spawner.kube.resources import CLAIMS, CONFIGMAPS, PODS, SERVICES
from kf_spawner.operator.adopt import Adopter
from kf_spawner.operator.view import View
from kf_spawner.tfjob.names import INDEX_LABEL, JOB_LABEL, OPERATOR_LABEL, OPERATOR_NAME, TFJOBS, TYPE_LABEL
from kf_spawner.tfjob.ownership import controller_of
from tests.operator.conftest import Namespace
from tests.tfjob.builders import claim, job, template

pytestmark = pytest.mark.usefixtures("shared_operator")

FIRST, SECOND = "mnist-worker-0", "mnist-worker-1"


async def start(namespace: Namespace, spec: dict, *names: str) -> dict[str, dict]:
    """The pods of the new job, all running."""
    await namespace.create(spec)
    await namespace.until_pods(*names)
    await asyncio.gather(*(namespace.put(name, "Running") for name in names))
    await namespace.until_state("Running")
    return await namespace.pods()


async def delete_with_orphans(namespace: Namespace) -> None:
    """`kubectl delete tfjob mnist --cascade=orphan`."""
    await namespace.client.delete(TFJOBS, "mnist", namespace.name, propagation="Orphan")

    async def gone():
        try:
            await namespace.job()
        except NotFound:
            return True

    await namespace.until(gone)
    assert {controller_of(pod) for pod in (await namespace.pods()).values()} == {None}


async def until_owned(namespace: Namespace, owner: dict | None, *, children="pods") -> dict[str, dict]:
    """All pods or services of the namespace, once the controller of each is `owner`."""
    uid = owner["metadata"]["uid"] if owner else None

    async def owned():
        found = await getattr(namespace, children)()
        return found if found and {controller_of(child) for child in found.values()} == {uid} else None

    return await namespace.until(owned)


async def label(namespace: Namespace, name: str, **labels: str | None) -> None:
    named = {{"operator": OPERATOR_LABEL, "job": JOB_LABEL}[key]: value for key, value in labels.items()}
    await namespace.client.patch(PODS, name, {"metadata": {"labels": named}}, namespace.name)


def uids(children: dict[str, dict]) -> dict[str, str]:
    return {name: child["metadata"]["uid"] for name, child in children.items()}


def a_pod(namespace: Namespace, name: str, *, index: int = 0, owner: dict | None = None) -> dict:
    labels = {OPERATOR_LABEL: OPERATOR_NAME, JOB_LABEL: "mnist", TYPE_LABEL: "worker", INDEX_LABEL: str(index)}
    meta = {"name": name, "namespace": namespace.name, "labels": labels}
    if owner:
        names = {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "controller": True, **names}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, **template()}


async def other_owner(namespace: Namespace) -> dict:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other", "namespace": namespace.name}}
    return await namespace.client.create(CONFIGMAPS, body)


# Adoption


async def test_a_job_made_again_adopts_what_runs_and_makes_nothing_twice(namespace):
    before = await start(namespace, job(Worker=2, PS=1), FIRST, SECOND, "mnist-ps-0")
    services = await namespace.services()
    await delete_with_orphans(namespace)
    again = await namespace.create(job(Worker=2, PS=1))
    await namespace.until_state("Running")
    pods = await until_owned(namespace, again)
    assert uids(pods) == uids(before)
    assert uids(await until_owned(namespace, again, children="services")) == uids(services)
    assert pods[FIRST]["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "kubeflow.org/v1",
            "kind": "TFJob",
            "name": "mnist",
            "uid": again["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    await namespace.until_event("SuccessfulAdoptPod", f"Adopted pod: {FIRST}")
    await namespace.client.delete(TFJOBS, "mnist", namespace.name)
    await namespace.until_pods()


@pytest.mark.parametrize(("phase", "code", "end"), [("Succeeded", 0, "Succeeded"), ("Failed", 1, "Failed")])
async def test_an_adopted_pod_that_has_ended_counts(namespace, phase, code, end):
    before = await start(namespace, job(Worker=2), FIRST, SECOND)
    await delete_with_orphans(namespace)
    await namespace.put(SECOND if phase == "Failed" else FIRST, phase, code=code)
    await namespace.create(job(Worker=2))
    status = (await namespace.until_state(end))["status"]
    assert status["replicaStatuses"]["Worker"][phase.lower()] >= 1
    kept = uids(await namespace.pods())
    assert kept.items() <= uids(before).items()


async def test_one_too_many_is_adopted_and_removed(namespace):
    await start(namespace, job(Worker=2), FIRST, SECOND)
    await delete_with_orphans(namespace)
    again = await namespace.create(job(Worker=1))
    await namespace.until_pods(FIRST)
    await until_owned(namespace, again)


async def test_a_claim_is_adopted_when_its_pod_is_created_again(namespace):
    """Claims are not watched: the API server says that there is one."""
    spec = job(Worker=1, restart="ExitCode")
    spec["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("data")]
    before = await start(namespace, spec, FIRST)
    first = await namespace.client.get(CLAIMS, f"data-{FIRST}", namespace.name)
    await delete_with_orphans(namespace)
    again = await namespace.create(spec)
    await until_owned(namespace, again)
    await namespace.put(FIRST, "Failed", code=137)
    await namespace.until_recreated(before[FIRST])
    held = await namespace.client.get(CLAIMS, f"data-{FIRST}", namespace.name)
    assert held["metadata"]["uid"] == first["metadata"]["uid"]
    assert controller_of(held) == again["metadata"]["uid"]


async def test_other_owners_stay(namespace):
    owner = (await other_owner(namespace))["metadata"]
    pod = a_pod(namespace, FIRST)
    other = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
    pod["metadata"]["ownerReferences"] = [other]
    await namespace.client.create(PODS, pod)
    made = await namespace.create(job(Worker=1))
    await until_owned(namespace, made)
    await label(namespace, FIRST, job="another")
    (released,) = (await until_owned(namespace, None)).values()
    assert released["metadata"]["ownerReferences"] == [other]


async def test_what_is_not_adopted(namespace):
    """Another controller's pod, and one whose name is not a replica's."""
    owner = await other_owner(namespace)
    await namespace.client.create(PODS, a_pod(namespace, FIRST, owner=owner))
    await namespace.client.create(PODS, a_pod(namespace, "mnist-worker-0-debug"))
    await namespace.create(job(Worker=2))
    await namespace.until_told(f"a pod {FIRST} exists that is not this job's; delete it or rename the job")
    pods = await namespace.until_pods(FIRST, "mnist-worker-0-debug", SECOND)
    assert controller_of(pods[FIRST]) == owner["metadata"]["uid"]
    assert controller_of(pods["mnist-worker-0-debug"]) is None


async def test_a_job_that_is_being_deleted_adopts_nothing(namespace):
    """Also where its deletion is not known here yet: the API server is asked."""
    made = await namespace.create(job(Worker=1, run_policy={"suspend": True}))
    await namespace.until_state("Suspended")
    held = {"metadata": {"finalizers": ["kf-spawner.io/test"]}}
    await namespace.client.patch(TFJOBS, "mnist", held, namespace.name)
    await namespace.client.delete(TFJOBS, "mnist", namespace.name)
    pod = await namespace.client.create(PODS, a_pod(namespace, FIRST))
    adopter = Adopter(namespace.client, Silence(), View(), jobs=TFJOBS, children={"Pod": PODS})
    with pytest.raises(Conflict, match="being deleted"):
        await adopter.take(made, pod, {"kind": "Pod"})
    await namespace.client.patch(TFJOBS, "mnist", {"metadata": {"finalizers": None}}, namespace.name)
    again = await namespace.create(job(Worker=1))
    with pytest.raises(Conflict, match="another one"):
        await adopter.take(made, pod, {"kind": "Pod"})
    assert uids(await until_owned(namespace, again)) == {FIRST: pod["metadata"]["uid"]}


async def test_a_pod_that_has_changed_meanwhile_is_looked_at_again(namespace):
    made = await namespace.create(job(Worker=1, run_policy={"suspend": True}))
    pod = await namespace.client.create(PODS, a_pod(namespace, "bare"))
    await namespace.client.delete(PODS, "bare", namespace.name, grace_period=0)
    await namespace.client.create(PODS, a_pod(namespace, "bare"))
    adopter = Adopter(namespace.client, Silence(), View(), jobs=TFJOBS, children={"Pod": PODS})
    with pytest.raises(Conflict):
        await adopter.take(made, pod, {"kind": "Pod"})
    (bare,) = (await namespace.pods()).values()
    assert controller_of(bare) is None


# Release


@pytest.mark.parametrize("labels", [{"job": "another"}, {"operator": None}], ids=["job", "operator"])
async def test_a_pod_that_is_labelled_otherwise_is_released_and_adopted_when_labelled_back(namespace, labels):
    """Without the operator's label no watch of the operator's brings it any more."""
    before = await start(namespace, job(Worker=1), FIRST)
    made = await namespace.job()
    await label(namespace, FIRST, **labels)
    (released,) = (await until_owned(namespace, None)).values()
    assert "ownerReferences" not in released["metadata"]
    await namespace.until_event("SuccessfulReleasePod", f"Released pod: {FIRST}")
    await namespace.until_told(f"a pod {FIRST} exists that is not this job's; delete it or rename the job")
    await label(namespace, FIRST, job="mnist", operator=OPERATOR_NAME)
    assert uids(await until_owned(namespace, made)) == uids(before)
    await namespace.until_told("TFJob mnist is created.")


async def test_a_released_pod_is_created_again_once_its_name_is_free(namespace):
    before = await start(namespace, job(Worker=1), FIRST)
    made = await namespace.job()
    await label(namespace, FIRST, job="another")
    await until_owned(namespace, None)
    await namespace.client.delete(PODS, FIRST, namespace.name, grace_period=0)
    again = await until_owned(namespace, made)
    assert uids(again).keys() == uids(before).keys()
    assert uids(again) != uids(before)


async def test_a_service_is_released_and_adopted(namespace):
    await start(namespace, job(Worker=1), FIRST)
    made = await namespace.job()
    for job_name, owner in (("another", None), ("mnist", made)):
        named = {"metadata": {"labels": {JOB_LABEL: job_name}}}
        await namespace.client.patch(SERVICES, FIRST, named, namespace.name)
        await until_owned(namespace, owner, children="services")


class Silence:
    def event(self, *_args: object) -> None:
        """What is told is not looked at here."""
