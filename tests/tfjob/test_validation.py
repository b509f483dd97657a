"""What is wrong with a job, field by field."""

import copy

import pytest

from kf_spawner.tfjob.reconcile import decide
from kf_spawner.tfjob.validation import validate
from tests.tfjob.builders import claim, job, replica, template
from tests.tfjob.model import NOW, JobModel, started

SPECS = "spec.tfReplicaSpecs"


def changed(path: str, value) -> dict:
    """A valid job, but for the value at `path`; `...` removes it."""
    result = job(Worker=2, PS=1)
    holder = result
    *parents, last = path.split("/")
    for part in parents:
        holder = holder[int(part)] if isinstance(holder, list) else holder.setdefault(part, {})
    if value is ...:
        del holder[last]
    else:
        holder[int(last) if isinstance(holder, list) else last] = value
    return result


CLAIMS = "spec/tfReplicaSpecs/Worker/volumeClaimTemplates"
OLD_CLASS = {**claim("a"), "metadata": {"name": "a", "annotations": {"volume.beta.kubernetes.io/storage-class": ""}}}


CONTAINERS = "spec/tfReplicaSpecs/Worker/template/spec/containers"
MIN_RESOURCES = "spec/runPolicy/schedulingPolicy/minResources"
CASES = [
    ("metadata/name", ..., "metadata.name", "give the job a name"),
    ("metadata/name", "Mnist", "metadata.name", "lower-case"),
    ("metadata/name", "1mnist", "metadata.name", "begin with a letter"),
    ("metadata/name", "m" * 55, "metadata.name", "shorten the job's name to 54"),
    ("spec", None, "spec", "tfReplicaSpecs"),
    ("spec/tfReplicaSpecs", ..., SPECS, "Chief, Master, PS, Worker, Evaluator"),
    ("spec/tfReplicaSpecs", {}, SPECS, "at least one"),
    ("spec/tfReplicaSpecs", [], SPECS, "at least one"),
    ("spec/tfReplicaSpecs/Wroker", replica(), f"{SPECS}.Wroker", "use one of Chief, Master, PS, Worker, Evaluator"),
    ("spec/tfReplicaSpecs/worker", replica(), f"{SPECS}.worker", "the same type as Worker"),
    ("spec/tfReplicaSpecs/Worker", None, f"{SPECS}.Worker", "an object"),
    ("spec/tfReplicaSpecs/Worker/replicas", -1, f"{SPECS}.Worker.replicas", "from 0 to 10000"),
    ("spec/tfReplicaSpecs/Worker/replicas", "2", f"{SPECS}.Worker.replicas", "whole number"),
    ("spec/tfReplicaSpecs/Worker/replicas", True, f"{SPECS}.Worker.replicas", "whole number"),
    ("spec/tfReplicaSpecs/Worker/restartPolicy", "Sometimes", f"{SPECS}.Worker.restartPolicy", "'ExitCode'"),
    ("spec/tfReplicaSpecs/Chief", replica(2), f"{SPECS}.Chief.replicas", "one Chief at most"),
    ("spec/tfReplicaSpecs/Worker/template", ..., f"{SPECS}.Worker.template.spec.containers", "missing"),
    (CONTAINERS, [], f"{SPECS}.Worker.template.spec.containers", "add a container named 'tensorflow'"),
    (CONTAINERS + "/0", "tf", f"{SPECS}.Worker.template.spec.containers[0]", "an object"),
    (CONTAINERS + "/0/name", "tf", f"{SPECS}.Worker.template.spec.containers", "none is named 'tensorflow'"),
    (CONTAINERS + "/0/image", " ", f"{SPECS}.Worker.template.spec.containers[0].image", "name the image"),
    (CONTAINERS + "/0/env", {"A": "b"}, f"{SPECS}.Worker.template.spec.containers[0].env", "a list of objects"),
    (
        CONTAINERS + "/0/ports",
        [{"name": "tfjob-port", "containerPort": 0}],
        f"{SPECS}.Worker.template.spec.containers[0].ports[0].containerPort",
        "from 1 to 65535",
    ),
    ("spec/tfReplicaSpecs/PS/template/metadata", {"labels": ["x"]}, f"{SPECS}.PS.template.metadata.labels", "object"),
    ("spec/tfReplicaSpecs/Worker/maxRestarts", -1, f"{SPECS}.Worker.maxRestarts", "0 or more"),
    (CLAIMS, {"name": "data"}, f"{SPECS}.Worker.volumeClaimTemplates", "a list of claims"),
    (CLAIMS, ["data"], f"{SPECS}.Worker.volumeClaimTemplates[0]", "metadata and spec"),
    (CLAIMS, [{"spec": {}}], f"{SPECS}.Worker.volumeClaimTemplates[0].metadata", "a name"),
    (CLAIMS, [claim("Data_1")], f"{SPECS}.Worker.volumeClaimTemplates[0].metadata.name", "lower-case"),
    (CLAIMS, [claim("a"), claim("a")], f"{SPECS}.Worker.volumeClaimTemplates", "its own name"),
    (CLAIMS, [{"metadata": {"name": "a"}}], f"{SPECS}.Worker.volumeClaimTemplates[0].spec", "accessModes"),
    (
        CLAIMS,
        [claim("a", volumeName="somebodys")],
        f"{SPECS}.Worker.volumeClaimTemplates[0].spec.volumeName",
        "remove",
    ),
    (CLAIMS, [claim("a", selector={})], f"{SPECS}.Worker.volumeClaimTemplates[0].spec.selector", "remove it"),
    (
        CLAIMS,
        [claim("a", storageClassName="")],
        f"{SPECS}.Worker.volumeClaimTemplates[0].spec.storageClassName",
        "out",
    ),
    (
        CLAIMS,
        [claim("a", dataSource={})],
        f"{SPECS}.Worker.volumeClaimTemplates[0].spec.dataSource",
        "an empty volume",
    ),
    (CLAIMS, [claim("a", dataSourceRef={})], f"{SPECS}.Worker.volumeClaimTemplates[0].spec.dataSourceRef", "remove"),
    (CLAIMS, [OLD_CLASS], f"{SPECS}.Worker.volumeClaimTemplates[0].metadata.annotations", "in spec.storageClassName"),
    ("spec/successPolicy", "AnyWorker", "spec.successPolicy", "'AllWorkers'"),
    ("spec/enableDynamicWorker", "yes", "spec.enableDynamicWorker", "true or false"),
    ("spec/runPolicy", "Never", "spec.runPolicy", "an object"),
    ("spec/runPolicy/cleanPodPolicy", "Some", "spec.runPolicy.cleanPodPolicy", "'Running'"),
    ("spec/runPolicy/backoffLimit", -1, "spec.runPolicy.backoffLimit", "0 or more"),
    ("spec/runPolicy/activeDeadlineSeconds", 0, "spec.runPolicy.activeDeadlineSeconds", "1 or more"),
    ("spec/runPolicy/ttlSecondsAfterFinished", "1h", "spec.runPolicy.ttlSecondsAfterFinished", "whole number"),
    ("spec/runPolicy/startDeadlineSeconds", 0, "spec.runPolicy.startDeadlineSeconds", "1 or more"),
    ("spec/runPolicy/waitForEvaluator", "yes", "spec.runPolicy.waitForEvaluator", "true or false"),
    ("spec/runPolicy/avoidFailedNodes", 1, "spec.runPolicy.avoidFailedNodes", "true or false"),
    ("spec/runPolicy/schedulingPolicy", "gang", "spec.runPolicy.schedulingPolicy", "an object"),
    ("spec/runPolicy/schedulingPolicy/minAvailable", -1, "spec.runPolicy.schedulingPolicy.minAvailable", "0 or more"),
    ("spec/runPolicy/schedulingPolicy/queue", 5, "spec.runPolicy.schedulingPolicy.queue", "a text"),
    (MIN_RESOURCES, ["cpu"], "spec.runPolicy.schedulingPolicy.minResources", "amounts"),
    (MIN_RESOURCES, {"cpu": "lots"}, "spec.runPolicy.schedulingPolicy.minResources.cpu", "such as 4 or '8Gi'"),
    ("spec/cleanPodPolicy", "Some", "spec.cleanPodPolicy", "'Running'"),
    ("spec/backoffLimit", "3", "spec.backoffLimit", "whole number"),
    ("spec/activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds", "1 or more"),
    ("spec/runPolicy/suspend", "true", "spec.runPolicy.suspend", "true or false"),
    ("spec/runPolicy/managedBy", "me", "spec.runPolicy.managedBy", "kubeflow.org/training-operator"),
]


@pytest.mark.parametrize(("path", "value", "field", "remedy"), CASES)
def test_names_the_field_and_the_remedy(path, value, field, remedy):
    found = {error.field: error.message for error in validate(changed(path, value))}
    assert remedy in found[field]


@pytest.mark.parametrize(("path", "value", "field", "remedy"), CASES[5:])
def test_the_operator_fails_such_a_job_once_and_makes_nothing(path, value, field, remedy):
    model = JobModel(changed(path, value)).settle()
    assert model.state == "Failed"
    assert field in model.message("Failed")
    assert remedy in model.message("Failed")
    assert not model.pods
    assert not model.services


@pytest.mark.parametrize(("classes", "said"), [
    ((), "leave it out for the default"),
    (("fast", "slow"), "or use 'fast' or 'slow'"),
])  # fmt: skip
def test_a_claim_of_a_storage_class_that_jobs_may_not_use(classes, said):
    bad = changed(CLAIMS, [claim("a", storageClassName="gold")])
    (error,) = validate(bad, claim_classes=classes)
    assert error.field == f"{SPECS}.Worker.volumeClaimTemplates[0].spec.storageClassName"
    assert said in error.message
    assert "'gold', which jobs may not use" in decide(bad, [], [], now=NOW, claim_classes=classes).events[0].message
    assert not validate(bad, claim_classes=("gold",))
    assert not validate(bad), "whoever does not know the classes lets the operator decide"


def test_an_ephemeral_volume_chooses_as_little_as_a_claim():
    made = {**OLD_CLASS, "spec": claim("a", volumeName="somebodys", storageClassName="gold")["spec"]}
    volumes = [{"name": "first", "emptyDir": {}}, {"name": "second", "ephemeral": {"volumeClaimTemplate": made}}]
    bad = changed("spec/tfReplicaSpecs/Worker/template/spec/volumes", volumes)
    found = {error.field: error.message for error in validate(bad, claim_classes=("fast",))}
    where = f"{SPECS}.Worker.template.spec.volumes[1].ephemeral.volumeClaimTemplate"
    said = ("chooses a volume that exists", "overrides the field", "leave it out for the default, or use 'fast'")
    for field, words in zip(("spec.volumeName", "metadata.annotations", "spec.storageClassName"), said, strict=True):
        assert words in found.pop(f"{where}.{field}")
    assert not found
    volumes[1]["ephemeral"]["volumeClaimTemplate"] = claim("a", storageClassName="fast")
    assert not validate(changed("spec/tfReplicaSpecs/Worker/template/spec/volumes", volumes), claim_classes=("fast",))


@pytest.mark.parametrize("choice", [{"storageClassName": "gold"}, {"volumeName": "old"}])
def test_a_job_that_has_its_claims_stays_though_new_ones_may_not_choose_so(choice):
    model = started(changed(CLAIMS, [claim("a")]))
    model.job["spec"]["tfReplicaSpecs"]["Worker"]["volumeClaimTemplates"] = [claim("a", **choice)]
    plan = model.step(claim_classes=())
    assert "Failed" not in model.true
    assert not plan.delete


def test_a_chief_and_a_master_exclude_each_other():
    errors = validate(job(Chief=1, Master=1))
    assert [(error.field, "not both" in error.message) for error in errors] == [(f"{SPECS}.Master", True)]


def test_no_replica_at_all():
    assert validate(job(Worker=0, PS=0))[0].field == SPECS
    assert validate(job(Worker=1, PS=0)) == []


@pytest.mark.parametrize("kind", ["worker", "WORKER", "Worker"])
def test_replica_types_in_any_case(kind):
    valid = job(**{kind: 1})
    assert validate(valid) == []
    assert [child["metadata"]["name"] for child in decide(valid, [], [], now=NOW).create] == ["mnist-worker-0"] * 2


def test_every_field_may_be_any_json():
    """Whatever stands anywhere, validation answers; it never raises."""
    policy = {"backoffLimit": 1, "startDeadlineSeconds": 1, "avoidFailedNodes": True}
    base = job(Worker=1, run_policy={**policy, "schedulingPolicy": {"minResources": {"cpu": 1}, "queue": "q"}})
    base["spec"]["activeDeadlineSeconds"] = 1
    base["spec"]["tfReplicaSpecs"]["Worker"].update(
        template={
            "metadata": {"labels": {}},
            **template(env=[{"name": "A"}], ports=[{"name": "tfjob-port", "containerPort": 1}]),
        },
        maxRestarts=1,
        volumeClaimTemplates=[claim("data")],
    )
    for path in paths(base):
        for value in (None, 1, "text", [], {}, [1], {"a": 1}, True, -1.5):
            broken = copy.deepcopy(base)
            holder = broken
            for part in path[:-1]:
                holder = holder[part]
            holder[path[-1]] = value
            validate(broken)
            if path[0] == "spec":
                decide(broken, [], [], now=NOW)


def paths(value, before=()):
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*before, key)
        yield from paths(child, (*before, key))
